"""Common Transfer Files of kept objects: made as values, then put into a folder; sending them is others' work.

The target ``ctf-out`` (target.py) does both for the LearnerTransfers that its agent keeps.

document = make_ctf(Transfer(source, destination, written), objects, [learner], schema)
document.left_out                                   # what the file does not hold, by learner; no values
receipt = put_ctf(folder, document)                 # the file under the next free number, and its receipt
"""

from agents.connectors.ctf_out.document import ctf_schema, make_ctf
from agents.connectors.ctf_out.kept import LeftOut
from agents.connectors.ctf_out.outbox import TAKEN, Receipt, put_ctf, receipts
from agents.connectors.ctf_out.values import (
    AUTHORITY_NUMBER,
    NOT_KNOWN,
    OUTSIDE,
    VERSION,
    CtfDocument,
    CtfError,
    CtfIncomplete,
    CtfWithheld,
    Due,
    Missing,
    Qualifier,
    Transfer,
)

__all__ = [
    # making a file
    "CtfDocument",
    "Due",
    "LeftOut",
    "Qualifier",
    "Transfer",
    "make_ctf",
    "ctf_schema",
    # putting it into a folder
    "Receipt",
    "TAKEN",
    "put_ctf",
    "receipts",
    # whom it may be for
    "AUTHORITY_NUMBER",
    "NOT_KNOWN",
    "OUTSIDE",
    "VERSION",
    # what is wrong
    "CtfError",
    "CtfIncomplete",
    "CtfWithheld",
    "Missing",
]
