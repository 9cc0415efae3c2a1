"""The commands of ``sifzone`` that are about the zone, a module for each; what they say is decided elsewhere."""
