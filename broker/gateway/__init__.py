"""The SIF 2.x gateway: agents that speak SIF over HTTP(S) join the zone like any other."""
