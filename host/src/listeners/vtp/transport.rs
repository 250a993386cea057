//! Transport documents: what VTP peers say to each other about events.
//!
//! Writes the four kinds of the Recommendation (VTP 2.0 §4). Peers match the root by its local
//! name and read three namespaces; the one written here is the Recommendation's. Identifiers
//! come from strangers and are escaped: an IVORN with `&` in it must not make a broken receipt.
//!
//! Reading them is the formats crate's. This module knows no clock: the time is an argument.

use std::fmt::Write as _;

use bytes::Bytes;
use jiff::Timestamp;

/// The role of a Transport document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// "Are you there?", and the answer to it.
    Iamalive,
    /// Who are you, and which events do you want?
    Authenticate,
    /// The event is kept.
    Ack,
    /// The event is refused for ever.
    Nak,
}

impl Kind {
    const fn role(self) -> &'static str {
        match self {
            Self::Iamalive => "iamalive",
            Self::Authenticate => "authenticate",
            Self::Ack => "ack",
            Self::Nak => "nak",
        }
    }
}

/// A Transport document to be written.
#[derive(Clone, Copy, Debug)]
pub struct Transport<'a> {
    /// Its role.
    pub kind: Kind,
    /// Whom or what it is about: the broker of an iamalive, the IVORN of a receipted event.
    pub origin: &'a str,
    /// Who answers; `None` in what is no answer.
    pub response: Option<&'a str>,
    /// When it is written.
    pub time: Timestamp,
    /// `Meta/Param` pairs of name and value.
    pub params: &'a [(&'a str, &'a str)],
    /// `Meta/Result`: the reason of a nak.
    pub result: Option<&'a str>,
}

impl<'a> Transport<'a> {
    /// What a broker sends at least every 90 s.
    pub const fn iamalive(broker: &'a str, time: Timestamp) -> Self {
        Self::bare(Kind::Iamalive, broker, time)
    }

    /// What a broker may ask after it accepted a connection.
    pub const fn authenticate(broker: &'a str, time: Timestamp) -> Self {
        Self::bare(Kind::Authenticate, broker, time)
    }

    /// The answer of `us` to what is about `origin`.
    pub const fn answer(kind: Kind, origin: &'a str, us: &'a str, time: Timestamp) -> Self {
        let mut answer = Self::bare(kind, origin, time);
        answer.response = Some(us);
        answer
    }

    const fn bare(kind: Kind, origin: &'a str, time: Timestamp) -> Self {
        Self {
            kind,
            origin,
            response: None,
            time,
            params: &[],
            result: None,
        }
    }

    /// Writes the document, without its frame.
    pub fn to_xml(&self) -> Bytes {
        let mut xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <trn:Transport xmlns:trn=\"http://telescope-networks.org/schema/Transport/v1.1\" \
             version=\"1.0\" role=\"{}\">\n",
            self.kind.role()
        );
        element(&mut xml, "Origin", self.origin);
        if let Some(response) = self.response {
            element(&mut xml, "Response", response);
        }
        element(
            &mut xml,
            "TimeStamp",
            &self.time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        );
        if !self.params.is_empty() || self.result.is_some() {
            self.meta(&mut xml);
        }
        xml.push_str("</trn:Transport>\n");
        xml.into()
    }

    fn meta(&self, xml: &mut String) {
        xml.push_str("  <Meta>\n");
        for (name, value) in self.params {
            xml.push_str("    <Param name=\"");
            escape(xml, name);
            xml.push_str("\" value=\"");
            escape(xml, value);
            xml.push_str("\"/>\n");
        }
        if let Some(result) = self.result {
            xml.push_str("  ");
            element(xml, "Result", result);
        }
        xml.push_str("  </Meta>\n");
    }
}

fn element(xml: &mut String, name: &str, text: &str) {
    xml.push_str("  <");
    xml.push_str(name);
    xml.push('>');
    escape(xml, text);
    xml.push_str("</");
    xml.push_str(name);
    xml.push_str(">\n");
}

/// Writes `text` so that any XML 1.0 parser reads it back, in content and in attributes.
/// Characters that XML 1.0 cannot carry become U+FFFD.
fn escape(xml: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            '\'' => xml.push_str("&apos;"),
            '\t' | '\n' | '\r' => {
                // Written as themselves they would be normalised away.
                let written = write!(xml, "&#{};", u32::from(c));
                debug_assert!(written.is_ok(), "a String takes what is written to it");
            }
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => xml.push(char::REPLACEMENT_CHARACTER),
            _ => xml.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time() -> Timestamp {
        "2026-11-21T17:50:07.120615Z".parse().unwrap()
    }

    #[track_caller]
    fn check(transport: &Transport<'_>, role: &str, body: &str) {
        let expected = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <trn:Transport xmlns:trn=\"http://telescope-networks.org/schema/Transport/v1.1\" \
             version=\"1.0\" role=\"{role}\">\n{body}</trn:Transport>\n"
        );
        assert_eq!(str::from_utf8(&transport.to_xml()).unwrap(), expected);
    }

    #[test]
    fn an_iamalive_names_the_broker_and_the_time_in_utc() {
        check(
            &Transport::iamalive("ivo://org.example/broker", time()),
            "iamalive",
            "  <Origin>ivo://org.example/broker</Origin>\n  \
             <TimeStamp>2026-11-21T17:50:07Z</TimeStamp>\n",
        );
    }

    #[test]
    fn an_ack_is_about_the_event_and_names_who_answers() {
        let ivorn = "ivo://org.example/test#e1";
        check(
            &Transport::answer(Kind::Ack, ivorn, "ivo://org.example/us", time()),
            "ack",
            "  <Origin>ivo://org.example/test#e1</Origin>\n  \
             <Response>ivo://org.example/us</Response>\n  \
             <TimeStamp>2026-11-21T17:50:07Z</TimeStamp>\n",
        );
    }

    #[test]
    fn an_ivorn_with_markup_is_escaped() {
        check(
            &Transport::answer(Kind::Ack, "a&b<c>\"d'\n\u{1}", "us", time()),
            "ack",
            "  <Origin>a&amp;b&lt;c&gt;&quot;d&apos;&#10;\u{fffd}</Origin>\n  \
             <Response>us</Response>\n  <TimeStamp>2026-11-21T17:50:07Z</TimeStamp>\n",
        );
    }

    #[test]
    fn filters_are_params_and_the_reason_of_a_nak_is_the_result() {
        let filter = "//Param[@name=\"Packet_Type\"]";
        let params = [("xpath-filter", filter)];
        let mut transport = Transport::answer(Kind::Nak, "o", "us", time());
        transport.params = &params;
        transport.result = Some("not for us");
        check(
            &transport,
            "nak",
            "  <Origin>o</Origin>\n  <Response>us</Response>\n  \
             <TimeStamp>2026-11-21T17:50:07Z</TimeStamp>\n  <Meta>\n    \
             <Param name=\"xpath-filter\" value=\"//Param[@name=&quot;Packet_Type&quot;]\"/>\n    \
             <Result>not for us</Result>\n  </Meta>\n",
        );
    }
}
