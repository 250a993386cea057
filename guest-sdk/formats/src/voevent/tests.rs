use super::{CiteKind, FieldError, PositionError, VoEvent, VoEventError};
use crate::{NoticeType, Oddity, Role, XmlFault};

/// A notice of the kind that GCN made for Fermi GBM, with an oddity of each sort.
const NOTICE: &str = "<?xml version = '1.0' encoding = 'UTF-8'?>
<voe:VOEvent ivorn='ivo://org.example/Fermi#GBM_Gnd_Pos_1' role='observation' version='2.0'
    xmlns:voe='http://www.ivoa.net/xml/VOEvent/v2.0'>
  <Who>
    <AuthorIVORN>ivo://org.example/author</AuthorIVORN>
    <Author><shortName>A &amp; B</shortName><contactEmail>a@example.org</contactEmail>
      <title>{\"not\": \"a title\"}</title><contributor>C</contributor></Author>
    <Date>2017-08-17T12:41:31</Date>
    <Description>Who</Description>
  </Who>
  <What>
    <Param name='Packet_Type' value='112' />
    <Param value=' 5.00' unit='[counts/sec]' name='Rate' ucd='phot.count' datatype='float'/>
    <Param name='TrigID' value='524666471'/>
    <Param name='Flags' value='0x4000'/>
    <Param name='Sure' value='True'/>
    <Param name='Word' value='many'><Description>not a number</Description></Param>
    <Param name='Child'><Value> 7 </Value></Param>
    <Param name='Empty' value=''/>
    <Param name='Nothing'/>
    <Group name='Obs_Support_Info' type='t'><Description>Sun</Description>
      <Param name='Sun_RA' value='146.6' unit='deg'/></Group>
    <Group type='nameless'><Param name='x' value='1'/></Group>
    <Table><Param name='InTable' value='1'/><Data><TR><TD>1</TD></TR></Data></Table>
    <Reference uri='http://example.org/what'/>
  </What>
  <WhereWhen><ObsDataLocation>
    <ObservatoryLocation id='GEOLUN'><AstroCoordSystem id='UTC-GEOD-TOPO'/>
      <AstroCoords coord_system_id='UTC-GEOD-TOPO'><Position3D unit='deg-deg-m'>
        <Value3><C1>1</C1><C2>2</C2><C3>3</C3></Value3></Position3D></AstroCoords></ObservatoryLocation>
    <ObservationLocation><AstroCoordSystem id='UTC-FK5-GEO'/>
      <AstroCoords coord_system_id='UTC-FK5-GEO'>
        <Time unit='s'><TimeInstant><ISOTime>2017-08-17T12:41:06.47
        </ISOTime></TimeInstant></Time>
        <Position2D unit='deg'><Name1>RA</Name1><Name2>Dec</Name2>
          <Value2><C1>176.8</C1><C2>-39.8</C2></Value2><Error2Radius>11.6</Error2Radius></Position2D>
      </AstroCoords></ObservationLocation></ObsDataLocation></WhereWhen>
  <How><Description>How</Description></How>
  <Why importance='0.5' expires='2017-08-18T00:00:00'><Concept>process.variation.burst</Concept>
    <Inference probability='0.9' relation='identified'><Name>GRB 170817A</Name><Concept>em.gamma</Concept></Inference>
    <Inference probability='high'/></Why>
  <Citations><EventIVORN cite='retraction'>ivo://a/b#1</EventIVORN>
    <EventIVORN cite='retraction'>ivo://a/b#2</EventIVORN>
    <EventIVORN cite='replies'>ivo://a/b#3</EventIVORN><EventIVORN>ivo://a/b#4</EventIVORN></Citations>
  <Description>A burst &lt;here&gt;.</Description>
  <Reference uri='http://example.org/event'/>
  <original_prefix/>
</voe:VOEvent>
";

#[track_caller]
fn notice() -> VoEvent {
    VoEvent::parse(NOTICE.as_bytes()).unwrap()
}

/// A notice with this `Position2D` and nothing else.
#[track_caller]
fn at(unit: &str, c1: &str, c2: &str, radius: &str) -> VoEvent {
    let radius = match radius {
        "" => String::new(),
        radius => format!("<Error2Radius>{radius}</Error2Radius>"),
    };
    let document = format!(
        "<VOEvent><WhereWhen><ObsDataLocation><ObservationLocation>\
         <AstroCoords coord_system_id='UTC-ICRS-GEO'><Position2D {unit}>\
         <Value2><C1>{c1}</C1><C2>{c2}</C2></Value2>{radius}</Position2D>\
         </AstroCoords></ObservationLocation></ObsDataLocation></WhereWhen></VOEvent>"
    );
    VoEvent::parse(document.as_bytes()).unwrap()
}

#[track_caller]
fn check_degrees(event: &VoEvent, ra: f64, dec: f64, radius: f64) {
    let position = event.position().unwrap();
    let found = [position.ra, position.dec, position.error_radius.unwrap()];
    let close = found
        .iter()
        .zip([ra, dec, radius])
        .all(|(a, b)| (a - b).abs() < 1e-9);
    assert!(close, "{found:?}");
}

#[track_caller]
fn check_message<T: std::fmt::Debug>(result: Result<T, FieldError>, expected: &str) {
    assert_eq!(result.unwrap_err().to_string(), expected);
}

#[test]
fn every_part_of_a_notice_is_read() {
    let notice = notice();
    assert_eq!(
        notice.ivorn.as_deref(),
        Some("ivo://org.example/Fermi#GBM_Gnd_Pos_1")
    );
    assert_eq!(
        (notice.role, notice.version.as_deref()),
        (Role::Observation, Some("2.0"))
    );
    assert_eq!(notice.notice_type(), Some(NoticeType(112)));
    assert_eq!(
        notice.who.author_ivorn.as_deref(),
        Some("ivo://org.example/author")
    );
    assert_eq!(notice.who.date.as_deref(), Some("2017-08-17T12:41:31"));
    assert_eq!(notice.who.author.short_name.as_deref(), Some("A & B"));
    assert_eq!(
        notice.who.author.title.as_deref(),
        Some("{\"not\": \"a title\"}")
    );
    assert_eq!(notice.who.author.contributors, ["C"]);
    assert_eq!(notice.what.params.len(), 9);
    assert_eq!(
        notice.what.reference.as_deref(),
        Some("http://example.org/what")
    );
    assert_eq!(notice.where_when.observatory.as_deref(), Some("GEOLUN"));
    assert_eq!(notice.why.importance, Some(0.5));
    assert_eq!(
        notice.why.inferences[0].name.as_deref(),
        Some("GRB 170817A")
    );
    assert_eq!(notice.why.inferences[1].probability, None);
    assert_eq!(
        notice.retracts().collect::<Vec<_>>(),
        ["ivo://a/b#1", "ivo://a/b#2"]
    );
    assert_eq!(
        notice.citations[2].cite,
        Some(CiteKind::Other("replies".to_owned()))
    );
    assert_eq!(notice.citations[3].cite, None);
    assert_eq!(notice.description.as_deref(), Some("A burst <here>."));
    assert_eq!(
        notice.reference.as_deref(),
        Some("http://example.org/event")
    );
    assert_eq!(notice.oddities, []);
}

#[test]
fn params_are_read_as_what_they_are_asked_for() {
    let notice = notice();
    let param = |name| notice.param(name).unwrap();
    assert_eq!(param("TrigID").as_i64(), Ok(524_666_471));
    assert_eq!(param("Rate").as_f64(), Ok(5.0));
    assert_eq!(param("Rate").unit(), Some("counts/sec"));
    assert_eq!(param("Rate").data_type.as_deref(), Some("float"));
    assert_eq!(param("Flags").as_i64(), Ok(0x4000));
    assert_eq!(param("Sure").as_bool(), Ok(true));
    assert_eq!(param("Child").as_i64(), Ok(7));
    assert_eq!(param("Empty").as_str(), Ok(""));
    assert_eq!(
        notice
            .param_in("Obs_Support_Info", "Sun_RA")
            .unwrap()
            .as_f64(),
        Ok(146.6)
    );
    assert_eq!(
        notice.group("Obs_Support_Info").unwrap().params[0].unit(),
        Some("deg")
    );
}

#[test]
fn an_error_says_what_was_asked_and_what_to_ask() {
    let notice = notice();
    check_message(
        notice.param("TrigId"),
        "the notice has no Param `TrigId`; did you mean `TrigID`?",
    );
    check_message(
        notice.param("Sun_RA"),
        "the notice has no Param `Sun_RA`, but Group `Obs_Support_Info` has one: \
         param_in(\"Obs_Support_Info\", \"Sun_RA\")",
    );
    check_message(notice.param("InTable"), "the notice has no Param `InTable`");
    check_message(
        notice.param_in("Obs_Support", "Sun_RA"),
        "the notice has no Group `Obs_Support`; did you mean `Obs_Support_Info`?",
    );
    check_message(
        notice.param_in("Obs_Support_Info", "Sun_Ra"),
        "the notice has no Param `Sun_Ra` in Group `Obs_Support_Info`; did you mean `Sun_RA`?",
    );
    let param = |name| notice.param(name).unwrap();
    check_message(
        param("Word").as_f64(),
        "Param `Word` is `many`, which is not a number",
    );
    check_message(
        param("Rate").as_i64(),
        "Param `Rate` is ` 5.00`, which is not an integer",
    );
    check_message(
        param("Word").as_bool(),
        "Param `Word` is `many`, which is not true or false",
    );
    check_message(param("Nothing").as_str(), "Param `Nothing` has no value");
}

#[test]
fn time_and_place_are_the_events_and_not_the_observatorys() {
    let notice = notice();
    assert_eq!(
        notice.time().unwrap().to_string(),
        "2017-08-17T12:41:06.47Z"
    );
    assert_eq!(notice.time().unwrap().gps().unwrap().seconds, 1_187_008_884);
    check_degrees(&notice, 176.8, -39.8, 11.6);
    assert_eq!(
        notice.position().unwrap().frame.as_deref(),
        Some("UTC-FK5-GEO")
    );
}

#[test]
fn a_document_without_anything_is_a_notice_without_anything() {
    let empty = VoEvent::parse(b"<VOEvent/>").unwrap();
    assert_eq!(empty, VoEvent::default());
    check_message(empty.time(), "the notice has no event time");
    check_message(empty.position(), "the notice has no position");
}

#[test]
fn a_position_comes_in_degrees_whatever_its_unit() {
    check_degrees(&at("", "10", "-20", "0.5"), 10.0, -20.0, 0.5);
    check_degrees(&at("unit='Degrees'", " 10.0 ", "+20", "0"), 10.0, 20.0, 0.0);
    check_degrees(
        &at("unit='rad'", "1", "-1", "1"),
        57.295_779_513_082_32,
        -57.295_779_513_082_32,
        57.295_779_513_082_32,
    );
    check_degrees(&at("unit='hours deg'", "1.5", "20", "0.5"), 22.5, 20.0, 0.5);
    check_degrees(&at("unit='deg-deg-m'", "1", "2", "3"), 1.0, 2.0, 3.0);
    check_degrees(&at("", "0", "0", "360"), 0.0, 0.0, 360.0);
    assert_eq!(
        at("", "10", "20", "").position().unwrap().error_radius,
        None
    );
}

#[test]
fn a_unit_may_stand_at_the_numbers_and_the_axes_may_be_swapped() {
    let document = "<VOEvent><WhereWhen><AstroCoords><Position2D><Name1>Dec</Name1><Name2>RA</Name2>\
        <Value2><C1 pos_unit='rad'>0.5</C1><C2 pos_unit='rad'>1</C2></Value2>\
        <Error2Radius>0</Error2Radius></Position2D></AstroCoords></WhereWhen></VOEvent>";
    let event = VoEvent::parse(document.as_bytes()).unwrap();
    check_degrees(&event, 57.295_779_513_082_32, 28.647_889_756_541_16, 0.0);
}

#[test]
fn no_place_on_the_sky_is_no_position() {
    let zero = "RA, Dec and error radius are 0, which means no position";
    check_message(at("", "0.0", "-0.0000", "0").position(), zero);
    check_message(
        at("", "abc", "1", "1").position(),
        "RA is `abc`, which is not a number",
    );
    check_message(
        at("", "1", "NaN", "1").position(),
        "Dec is `NaN`, which is not a number",
    );
    check_message(
        at("", "1", "1", "inf").position(),
        "the error radius is `inf`, which is not a number",
    );
    check_message(
        at("", "", "1", "1").position(),
        "the notice has no position",
    );
    check_message(
        at("unit='pixel'", "1", "1", "1").position(),
        "RA is in `pixel`, which is not a known unit of angle",
    );
    check_message(
        at("", "-1.0000", "-1.0000", "-1.0000").position(),
        "RA -1, Dec -1 is not a usable position: its error radius is negative",
    );
    let beyond = at("", "1", "91", "1").where_when.position();
    assert!(matches!(beyond, Err(PositionError::Unusable { .. })));
}

#[test]
fn text_before_the_document_is_passed_over_and_said() {
    let file = format!("A sample < of mine\r\n\r\n{NOTICE}");
    let event = VoEvent::parse(file.as_bytes()).unwrap();
    assert_eq!(event.oddities, [Oddity::TextBeforeDocument(22)]);
    assert_eq!(event.ivorn, notice().ivorn);
}

#[test]
fn white_space_before_the_document_is_passed_over() {
    let event = VoEvent::parse(format!("\n {NOTICE}").as_bytes()).unwrap();
    assert_eq!(event.ivorn, notice().ivorn);
}

#[test]
fn what_is_no_voevent_says_what_it_is() {
    let error = VoEvent::parse(b"<trn:Transport role='ack'/>").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the document is `Transport`, not VOEvent"
    );
    let error = VoEvent::parse(b" {\"alert_type\": \"<new>\"}").unwrap_err();
    assert_eq!(
        error.to_string(),
        "this is not XML: it looks like JSON (byte 0)"
    );
    let error = VoEvent::parse(b"plain text").unwrap_err();
    assert!(
        matches!(error, VoEventError::Xml(error) if error.fault == XmlFault::TextBeforeDocument)
    );
}

#[test]
fn an_error_names_the_element_and_the_byte_in_the_file() {
    let file = b"above\n<VOEvent><What><Param name='a' value='&nbsp;'/></What></VOEvent>";
    let error = VoEvent::parse(file).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the entity `&nbsp;` is unknown; only amp, lt, gt, quot and apos exist \
         (byte 21, in VOEvent/What/Param)"
    );
}

#[test]
fn of_a_repeated_element_the_first_counts() {
    let document =
        b"<VOEvent><Who><Date>1</Date><Date>2</Date></Who><Who><Date>3</Date></Who></VOEvent>";
    assert_eq!(
        VoEvent::parse(document).unwrap().who.date.as_deref(),
        Some("1")
    );
}

#[test]
fn as_json_names_are_words_and_absent_parts_are_null() {
    let json = serde_json::to_value(notice()).unwrap();
    assert_eq!(json["role"], "observation");
    assert_eq!(json["notice_type"], "FERMI_GBM_GND_POS");
    assert_eq!(json["citations"][0]["cite"], "retraction");
    assert_eq!(json["citations"][2]["cite"], "replies");
    assert_eq!(json["what"]["groups"][0]["type"], "t");
    assert!(json["why"]["name"].is_null());
}
