use super::*;

fn map() -> SkyMap {
    let distance = Ansatz {
        mu: 80.0,
        sigma: 20.0,
        norm: 1e-4,
    };
    let density = 0.25 / std::f64::consts::PI;
    SkyMap {
        rows: Pixel::all(1)
            .map(|pixel| Row {
                pixel,
                density,
                distance,
            })
            .collect(),
        epoch: GpsTime::from_nanos(1_368_200_000_486_155_776),
        instruments: vec!["H1".into(), "L1".into()],
        mean_distance: 86.0,
        std_distance: 19.0,
        log_bci: 11.0,
        log_bsn: 114.0,
        history: vec![String::new(), "made by a test".into()],
    }
}

fn header(provenance: &Provenance) -> Vec<String> {
    let file = map().to_fits(provenance);
    let text = file[2_880..]
        .chunks(80)
        .map(|card| String::from_utf8_lossy(card).into_owned());
    text.take_while(|card| !card.starts_with("END "))
        .map(|card| card.trim_end().to_owned())
        .collect()
}

#[test]
fn the_header_has_the_keywords_that_readers_look_for() {
    let provenance = Provenance {
        object: Some("G211117".into()),
        url: Some("https://example.org/G211117".into()),
        written: GpsTime::new(1_368_200_100, 5),
        runtime: Some(1.5),
        command_line: None,
    };
    let header = header(&provenance);
    let keywords: Vec<&str> = header
        .iter()
        .skip(8)
        .map(|card| card[..card.len().min(8)].trim_end())
        .collect();
    let expected = "TTYPE1 TFORM1 TTYPE2 TFORM2 TUNIT2 TTYPE3 TFORM3 TUNIT3 TTYPE4 TFORM4 TUNIT4 \
        TTYPE5 TFORM5 TUNIT5 MOC PIXTYPE ORDERING COORDSYS MOCORDER INDXSCHM OBJECT REFERENC \
        INSTRUME DATE-OBS MJD-OBS DATE CREATOR ORIGIN RUNTIME DISTMEAN DISTSTD LOGBCI LOGBSN \
        VCSVERS HISTORY HISTORY";
    assert_eq!(
        keywords.join(" "),
        expected.split_whitespace().collect::<Vec<_>>().join(" ")
    );
    assert!(header.contains(
        &"INSTRUME= 'H1,L1   '           / Instruments that triggered this event".to_owned()
    ));
    assert!(header.contains(
        &"DATE    = '2023-05-15T15:34:42.000000' / UTC date of file creation".to_owned()
    ));
}

#[test]
fn an_identifier_that_is_a_number_is_written_as_one() {
    let provenance = Provenance {
        object: Some("70".into()),
        ..Provenance::default()
    };
    let number = "OBJECT  =                   70 / Unique identifier for this event";
    assert!(header(&provenance).contains(&number.to_owned()));
}

#[test]
fn what_is_not_known_is_left_out() {
    let header = header(&Provenance::default());
    for keyword in ["OBJECT", "REFERENC", "DATE  ", "RUNTIME"] {
        assert!(
            !header.iter().any(|card| card.starts_with(keyword)),
            "{keyword}"
        );
    }
}
