use super::{NoticeType, TABLE, notices};

#[track_caller]
fn check_name(text: &str, number: Option<u16>) {
    assert_eq!(
        NoticeType::from_name(text),
        number.map(NoticeType),
        "{text}"
    );
}

#[track_caller]
fn check_suggestion(typed: &str, expected: &str) {
    let names = NoticeType::nearest(typed);
    assert!(names.contains(&expected), "{typed}: {names:?}");
}

#[test]
fn the_table_is_sorted_and_no_name_is_given_twice() {
    assert!(TABLE.is_sorted_by_key(|row| row.number));
    let mut names: Vec<_> = TABLE.iter().flat_map(super::Row::names).collect();
    let total = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), total);
}

#[test]
fn every_name_of_a_type_leads_to_its_number() {
    check_name("FERMI_GBM_FIN_POS", Some(115));
    check_name("FERMI_GBM_FINAL_POS", Some(115));
    check_name("HETE_S/C_ALERT", Some(40));
    check_name("VOE_2.0_IMALIVE", Some(143));
    check_name("spare38", Some(38));
    check_name("SPARE38", None);
    check_name("", None);
}

#[test]
fn an_unknown_number_has_a_printed_form_that_reads_back() {
    let unheard_of = NoticeType(777);
    assert_eq!(unheard_of.name(), None);
    assert_eq!(unheard_of.to_string(), "UNKNOWN_777");
    assert_eq!("UNKNOWN_777".parse(), Ok(unheard_of));
    assert_eq!("777".parse(), Ok(unheard_of));
}

#[test]
fn a_name_aligns_in_a_table() {
    assert_eq!(format!("{:>8}|", notices::SNEWS), "   SNEWS|");
}

#[test]
fn signs_exponents_and_numbers_out_of_range_are_no_types() {
    for text in ["+112", "-1", "1e2", "65536", "", "11 2", "0x70"] {
        assert!(text.parse::<NoticeType>().is_err(), "{text}");
    }
}

#[test]
fn a_mistyped_name_is_answered_with_the_likely_one() {
    check_suggestion("FERMI_GBM_GND_PSO", "FERMI_GBM_GND_POS");
    check_suggestion("FERMI_GBM_GROUND_POS", "FERMI_GBM_GND_POS");
    check_suggestion("GBM_GND_POS", "FERMI_GBM_GND_POS");
    check_suggestion("fermi_gbm_gnd_pos", "FERMI_GBM_GND_POS");
    check_suggestion("ICECUBE_GOLD", "AMON_ICECUBE_GOLD");
    check_suggestion("SNEW", "SNEWS");
    assert!(NoticeType::nearest("completely different").is_empty());
    assert!(NoticeType::nearest("").is_empty());
}

#[test]
fn the_error_for_an_unknown_name_says_what_to_write() {
    let error = "LVC_PRELIMINARI"
        .parse::<NoticeType>()
        .unwrap_err()
        .to_string();
    assert!(error.contains("did you mean `LVC_PRELIMINARY`"), "{error}");
    let error = "???".parse::<NoticeType>().unwrap_err().to_string();
    assert!(error.contains("its number"), "{error}");
}

#[test]
fn keepalives_are_four_numbers() {
    let keepalives: Vec<u16> = NoticeType::known()
        .filter(|kind| kind.is_keepalive())
        .map(NoticeType::number)
        .collect();
    assert_eq!(keepalives, [3, 4, 142, 143]);
}

#[test]
fn a_type_that_has_ended_names_its_successor() {
    assert!(
        notices::LVC_PRELIMINARY
            .retired()
            .is_some_and(|hint| hint.contains("igwn.gwalert"))
    );
    assert_eq!(notices::FERMI_GBM_GND_POS.retired(), None);
}

#[test]
fn in_json_a_type_is_its_name() {
    let text = serde_json::to_string(&notices::SK_SN).unwrap();
    assert_eq!(text, "\"SK_SN\"");
    assert_eq!(
        serde_json::from_str::<NoticeType>("\"SK_SUPERNOVA\"").unwrap(),
        notices::SK_SN
    );
}
