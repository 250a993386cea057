use proptest::prelude::*;

use super::*;

const MAX: u32 = 1 << 20;

fn stream_of(documents: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for document in documents {
        encode(document, &mut out).unwrap();
    }
    out
}

/// Feeds `stream` in the given pieces and collects what comes out.
fn decode(pieces: &[&[u8]]) -> Result<Vec<Bytes>, TooLong> {
    let mut decoder = Decoder::new(MAX);
    let mut frames = Vec::new();
    for piece in pieces {
        feed(&mut decoder, piece, &mut frames)?;
    }
    Ok(frames)
}

fn feed(decoder: &mut Decoder, piece: &[u8], frames: &mut Vec<Bytes>) -> Result<(), TooLong> {
    let mut rest = piece;
    while !rest.is_empty() {
        let space = decoder.space();
        let room = (space.capacity() - space.len()).min(rest.len());
        assert!((1..=AHEAD).contains(&room));
        let (now, later) = rest.split_at(room);
        space.extend_from_slice(now);
        rest = later;
        while let Some(frame) = decoder.next_frame()? {
            frames.push(frame);
        }
    }
    Ok(())
}

#[track_caller]
fn check_refused(stream: &[u8], claimed: u32, guess: Guess) {
    let error = decode(&[stream]).unwrap_err();
    assert_eq!(error.claimed, claimed);
    assert_eq!(error.guess, guess);
    assert_eq!(error.head.as_bytes(), stream.get(..16).unwrap_or(stream));
}

#[test]
fn a_frame_is_a_big_endian_length_and_the_document() {
    // The first frame of a Comet broker: 450 bytes behind 00 00 01 c2.
    let document = [b'x'; 450];
    let stream = stream_of(&[&document]);
    assert_eq!(stream[..4], [0x00, 0x00, 0x01, 0xc2]);
    assert_eq!(
        decode(&[&stream]).unwrap(),
        [Bytes::copy_from_slice(&document)]
    );
}

#[test]
fn frames_survive_a_split_at_every_offset() {
    let documents: [&[u8]; 3] = [b"<a/>", b"<bb>text</bb>", b"<c/>"];
    let stream = stream_of(&documents);
    for first in 0..=stream.len() {
        for second in first..=stream.len() {
            let pieces = [&stream[..first], &stream[first..second], &stream[second..]];
            assert_eq!(
                decode(&pieces).unwrap(),
                documents,
                "split at {first} and {second}"
            );
        }
    }
}

#[test]
fn a_frame_may_come_a_byte_at_a_time() {
    let stream = stream_of(&[b"<a/>", b"<b/>"]);
    let pieces: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(decode(&pieces).unwrap(), [&b"<a/>"[..], b"<b/>"]);
}

#[test]
fn an_empty_frame_is_counted_and_passed_over() {
    let mut decoder = Decoder::new(MAX);
    let mut frames = Vec::new();
    feed(
        &mut decoder,
        &stream_of(&[b"", b"", b"<a/>", b""]),
        &mut frames,
    )
    .unwrap();
    assert_eq!(frames, [&b"<a/>"[..]]);
    assert_eq!(decoder.empty_frames(), 3);
    assert!(!decoder.is_inside_frame());
}

#[test]
fn an_unfinished_frame_is_known_as_such() {
    let mut decoder = Decoder::new(MAX);
    assert!(!decoder.is_inside_frame());
    feed(&mut decoder, &[0, 0], &mut Vec::new()).unwrap();
    assert!(decoder.is_inside_frame());
    feed(&mut decoder, &[0, 9, b'<'], &mut Vec::new()).unwrap();
    assert_eq!(decoder.unfinished(), 5);
}

#[test]
fn a_frame_of_the_limit_passes_and_one_byte_more_does_not() {
    let document = vec![b'x'; usize::try_from(MAX).unwrap()];
    assert_eq!(decode(&[&stream_of(&[&document])]).unwrap().len(), 1);
    let too_long = vec![b'x'; document.len() + 1];
    assert_eq!(
        decode(&[&stream_of(&[&too_long])]).unwrap_err().claimed,
        MAX + 1
    );
}

#[test]
fn a_claimed_length_reserves_nothing() {
    let mut decoder = Decoder::new(u32::MAX);
    feed(
        &mut decoder,
        &[0xff, 0xff, 0xff, 0xff, b'<'],
        &mut Vec::new(),
    )
    .unwrap();
    assert!(decoder.space().capacity() <= 5 + AHEAD);
}

#[test]
fn the_buffer_of_a_large_frame_is_given_back() {
    let mut decoder = Decoder::new(MAX);
    let large = vec![b'x'; usize::try_from(MAX).unwrap()];
    feed(&mut decoder, &stream_of(&[&large]), &mut Vec::new()).unwrap();
    assert!(decoder.space().capacity() <= AHEAD);
}

#[test]
fn four_gigabytes_are_refused() {
    check_refused(&[0xff, 0xff, 0xff, 0xff], u32::MAX, Guess::Unknown);
    check_refused(&[0x7f, 0xff, 0xff, 0xff, b'<'], 0x7fff_ffff, Guess::Unknown);
}

#[test]
fn a_little_endian_length_is_recognised() {
    let stream = [&494_u32.to_le_bytes()[..], b"<?xml version='1.0'?>"].concat();
    check_refused(&stream, 0xee01_0000, Guess::LittleEndian);
}

#[test]
fn http_is_recognised_from_both_sides() {
    check_refused(
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        0x4745_5420,
        Guess::Http,
    );
    check_refused(b"HTTP/1.1 400 Bad Request\r\n", 0x4854_5450, Guess::Http);
}

#[test]
fn a_tls_hello_is_recognised() {
    check_refused(
        &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00],
        0x1603_0102,
        Guess::Tls,
    );
}

#[test]
fn xml_without_a_length_and_other_text_are_recognised() {
    check_refused(b"<?xml version=\"1.0\"?><a/>", 0x3c3f_786d, Guess::BareXml);
    check_refused(b"SSH-2.0-OpenSSH_9.2\r\n", 0x5353_482d, Guess::Text);
}

#[test]
fn the_refusal_shows_what_came_and_says_what_to_do() {
    let error = decode(&[b"GET / HTTP/1.1\r\n"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a frame claims 1195725856 bytes, the limit is 1048576; the stream goes on with \
         `GET / HTTP/1.1\\r\\n`, which looks like HTTP: give the port of a VOEvent broker"
    );
}

proptest! {
    #[test]
    fn any_documents_in_any_pieces_come_out_as_they_went_in(
        documents in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..20),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
    ) {
        let stream = stream_of(&documents.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts.into_iter().chain([stream.len()]) {
            pieces.push(&stream[from..cut]);
            from = cut;
        }
        prop_assert_eq!(decode(&pieces).unwrap(), documents);
    }

    #[test]
    fn no_bytes_make_the_decoder_panic_or_hoard(stream in prop::collection::vec(any::<u8>(), 0..4096)) {
        let mut decoder = Decoder::new(4096);
        if feed(&mut decoder, &stream, &mut Vec::new()).is_ok() {
            prop_assert!(decoder.space().capacity() <= stream.len() + AHEAD);
        }
    }
}
