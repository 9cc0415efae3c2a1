"""Messages for the benchmarks: LearnerPersonal events of about 3 KB, each of another made-up learner."""

from broker.protocol.envelope import Action, build_event, new_header
from broker.protocol.identifiers import AgentId, new_ref_id

SENDER = AgentId("mis-bench")
ESTABLISHMENT = "8209901"

_OBJECT = """<LearnerPersonal RefId="{ref}"><LocalId>{n:06d}</LocalId><PersonalInformation>
<Name Type="C"><FamilyName>Benchmark-{n}</FamilyName><GivenName>Pupil</GivenName>
<MiddleNames>Of A Made Up Run</MiddleNames><PreferredFamilyName>Benchmark-{n}</PreferredFamilyName>
<PreferredGivenName>Pupil</PreferredGivenName></Name>
<Demographics><EthnicityList><Ethnicity><Code>WENG</Code><Source>P</Source></Ethnicity></EthnicityList>
<Gender>F</Gender><BirthDate>2014-05-17</BirthDate><PlaceOfBirth>Quarrington</PlaceOfBirth>
<LanguageList><Language><Code>ENG</Code><TypeList><Type>F</Type></TypeList></Language></LanguageList></Demographics>
<Email Type="School">pupil.{n}@pupils.example.org</Email>
<Address Type="Current"><PAON><StartNumber>{t}</StartNumber></PAON><Street>Long Made Up Street</Street>
<Locality>Lower Invention</Locality><Town>Quarrington</Town><AdministrativeArea>Madeupshire</AdministrativeArea>
<PostCode>QZ1 1AA</PostCode><Country>GBR</Country></Address>
<PhoneNumber Type="H"><Number>01632960{t:03d}</Number></PhoneNumber></PersonalInformation>
<UPN>H801200001001</UPN><UPNAllocationDate>2018-09-03</UPNAllocationDate>
<FormerUPNList><UPN>B801200005001</UPN></FormerUPNList><ULN>1000000027</ULN><FamilyStructure>A</FamilyStructure>
<InCare><Current>No</Current><LAId>820</LAId></InCare><ConnexionsAgreement>Yes</ConnexionsAgreement>
<GiftedTalented>No</GiftedTalented><HomeLA>820</HomeLA><Pregnant>No</Pregnant><UniformAllowance>No</UniformAllowance>
<CurrentSchoolEnrolment LearnerSchoolEnrolmentRefId="{enrolment}">
<LAId>820</LAId><EstablishmentId>9901</EstablishmentId>
<NCYearGroup>6</NCYearGroup></CurrentSchoolEnrolment>
<PreviousEstablishmentList>{previous}</PreviousEstablishmentList></LearnerPersonal>"""

_PREVIOUS = """<PreviousEstablishment><EstablishmentId>99{n:02d}</EstablishmentId>
<EstablishmentName>Made Up Infant School</EstablishmentName><LAId>820</LAId><EntryDate>2018-09-03</EntryDate>
<ExitDate>2020-07-17</ExitDate><ExitType>ST</ExitType><LastSchool>No</LastSchool></PreviousEstablishment>"""


def events(count: int) -> list[tuple[str, str, bytes]]:
    """Return *count* events as (message id, learner's RefId, body of about 3,000 bytes)."""
    previous = "".join(_PREVIOUS.format(n=n) for n in range(5, 8))
    found: list[tuple[str, str, bytes]] = []
    for n in range(count):
        ref = new_ref_id()
        element = _OBJECT.format(ref=ref, enrolment=new_ref_id(), n=n, t=n % 1000, previous=previous)
        header = new_header(SENDER)
        found.append((header.msg_id, ref, build_event(header, (("LearnerPersonal", Action.ADD, element.encode()),))))
    return found
