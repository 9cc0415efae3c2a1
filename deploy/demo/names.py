"""Made-up names, streets and codes for the demo's people; who gets which is the authority's part."""

from typing import Final


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_SURNAME_STARTS: Final = _words(
    "Thistle Bramble Quill Fennel Wobble Marrow Puddle Copper Tumble Larks Moss Pebble Dapple Sorrel Nettle "
    "Gossamer Bumble Hazel Clover Rattle Juniper Pepper Saffron Willow"
)
_SURNAME_ENDS: Final = _words("wick thorpe feather by combe shaw ley worth ington mere cote fold gate bury")
PLAIN_SURNAMES: Final = tuple(start + end for start in _SURNAME_STARTS for end in _SURNAME_ENDS)
"""Surnames of plain letters."""

MARKED_SURNAMES: Final = (
    "O'Brannigan-Løvås",
    "D'Quillefeather",
    "Ó Dapplemere",
    "Núñez-Thistlewick",
    "van der Wobbleby",
    "Żółtabramble",
    "St. Marrowcombe",
    "Müllerfold",
    "Nettle-Puddleworth",
    "de la Saffroncote",
    "Çopperthorpe",
    "M'Larkshaw",
)
"""Surnames with accents, apostrophes, hyphens, blanks and full stops, which every system has to carry."""

GIRLS: Final = _words(
    "Zephyrine Maelys Orlaith Thimbelle Marigolda Elowenna Persimmony Quilla Larkspur Isoldine Fennelia Tansine "
    "Brambeline Celandra Dewbell Faelina Gossamina Harebelle Ivorelle Junipera Kestrella Lunetta Mirabeth "
    "Nimuelle Opaline Primrosa Rowenetta Saffronia Tamsinelle Umbrielle Velvetine Wrenna Ysolde Zinnia Amberlyne "
    "Birdie-Mae Clovetta Zoë Renée-Lark Éliane Siân-Fern Chloë Ångela Noëlle-May"
)
BOYS: Final = _words(
    "Dorianth Bramwell Corbinian Eskdale Fitzwren Garrick Hawthorne Ingleby Jasperon Kestrel Larkin Merrivale "
    "Nethaniel Oberonne Peregrin Quillam Rushford Sorrelton Thaddeon Umberto Vaughnley Wystan Yarrow Zebulon "
    "Alderic Bracken Caspian Drummle Elderin Fenwick Gawaine Hollin Ivander Jorvik Kitto Leofric Marlowe Norbury "
    "Oakley-Finn Séamas José-Wren André Björnly Łukaszek Seán-Óg D'Arcy"
)
WOMEN: Final = _words(
    "Rowena Elvira Hesper Philippa-Jane Gwendoline Araminta Briony Cordelia Drusilla Eudora Florence-Ivy Greta "
    "Honora Imelda Josefina Keziah Lavinia Mehetabel Nerys Octavia"
)
MEN: Final = _words(
    "Piers Aubrey Barnaby Crispin Digby Erasmus Ferdinand Giles Horatio Ignatius Jocelyn Kelvin Lucian Montague "
    "Ned Osbert Percival Quentin Rufus Septimus"
)

STREETS: Final = (
    "Pellworth Rise",
    "Coppice Way",
    "Lantern Row",
    "Thimble Street",
    "Old Quarry Lane",
    "Marrow Hill",
    "Saffron Walk",
    "Puddle Lane",
    "Kettle End",
    "Bramble Close",
    "Heron Drive",
    "St. Wystan's Road",
)
HOUSE_NAMES: Final = ("Larks' Rest", "The Old Bakehouse", "Thistledown", "Rose Cottage")

ETHNICITIES: Final = ("WBRI",) * 12 + ("WOTH", "WEEU", "MWBC", "MWAS", "AIND", "APKN", "ABAN", "BCRB", "BAFR", "CHNE")
"""DfE ethnicity codes, the first as often as to make the lists look like a school's."""
LANGUAGES: Final = ("ENG",) * 12 + ("POL", "URD", "POR", "BNG")

SECONDARY_SUBJECTS: Final = (("Ma", "Mathematics", "MAT"), ("En", "English", "ENG"), ("Sc", "Science", "SCI"))
"""Group code, name and DfE general subject of what everybody learns in sets."""
