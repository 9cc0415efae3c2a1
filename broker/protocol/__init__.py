"""What both sides of a zone say: identifiers, errors, envelopes, topology; no input or output."""
