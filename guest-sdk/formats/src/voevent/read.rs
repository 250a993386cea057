//! From XML to [`VoEvent`]: one function for each element that has children.

use super::{
    Author, Citation, CiteKind, Coords, Group, Inference, Param, VoEvent, What, WhereWhen, Who, Why,
};
use crate::scan::{PACKET_TYPE, PacketType, settle_role};
use crate::xml::{Fault, Walker};

/// Reads the event whose root was just opened.
pub(super) fn event(walker: &mut Walker<'_>) -> Result<VoEvent, Fault> {
    let mut event = VoEvent {
        ivorn: walker.attribute_text("ivorn"),
        version: walker.attribute_text("version"),
        ..VoEvent::default()
    };
    let role_word = walker.attribute_text("role");
    event.role = settle_role(role_word.as_deref(), &mut event.oddities);
    while let Some(child) = walker.child()? {
        match child {
            "Who" => who(walker, &mut event.who)?,
            "What" => what(walker, &mut event.what)?,
            "WhereWhen" => location(walker, &mut event.where_when)?,
            "Why" => why(walker, &mut event.why)?,
            "Citations" => citations(walker, &mut event.citations)?,
            "Description" => walker.text_into(&mut event.description)?,
            "Reference" => reference(walker, &mut event.reference)?,
            _ => walker.skip()?,
        }
    }
    let mut packet_type = PacketType::default();
    for param in event
        .what
        .params
        .iter()
        .filter(|param| param.name == PACKET_TYPE)
    {
        packet_type.add(param.value.clone());
    }
    event.notice_type = packet_type.settle(&mut event.oddities);
    Ok(event)
}

fn who(walker: &mut Walker<'_>, who: &mut Who) -> Result<(), Fault> {
    while let Some(child) = walker.child()? {
        match child {
            "AuthorIVORN" => walker.text_into(&mut who.author_ivorn)?,
            "Date" => walker.text_into(&mut who.date)?,
            "Author" => author(walker, &mut who.author)?,
            "Description" => walker.text_into(&mut who.description)?,
            _ => walker.skip()?,
        }
    }
    Ok(())
}

fn author(walker: &mut Walker<'_>, author: &mut Author) -> Result<(), Fault> {
    while let Some(child) = walker.child()? {
        match child {
            "title" => walker.text_into(&mut author.title)?,
            "shortName" => walker.text_into(&mut author.short_name)?,
            "contactName" => walker.text_into(&mut author.contact_name)?,
            "contactEmail" => walker.text_into(&mut author.contact_email)?,
            "contactPhone" => walker.text_into(&mut author.contact_phone)?,
            "contributor" => author.contributors.push(walker.text()?.into_owned()),
            _ => walker.skip()?,
        }
    }
    Ok(())
}

fn what(walker: &mut Walker<'_>, what: &mut What) -> Result<(), Fault> {
    while let Some(child) = walker.child()? {
        match child {
            "Param" => what.params.push(param(walker)?),
            "Group" => what.groups.push(group(walker)?),
            "Description" => walker.text_into(&mut what.description)?,
            "Reference" => reference(walker, &mut what.reference)?,
            _ => walker.skip()?,
        }
    }
    Ok(())
}

fn group(walker: &mut Walker<'_>) -> Result<Group, Fault> {
    let mut group = Group {
        name: walker.attribute_text("name"),
        kind: walker.attribute_text("type"),
        ..Group::default()
    };
    while let Some(child) = walker.child()? {
        match child {
            "Param" => group.params.push(param(walker)?),
            "Description" => walker.text_into(&mut group.description)?,
            _ => walker.skip()?,
        }
    }
    Ok(group)
}

fn param(walker: &mut Walker<'_>) -> Result<Param, Fault> {
    let mut param = Param {
        name: walker.attribute("name").unwrap_or_default().into_owned(),
        value: walker.attribute("value").map(std::borrow::Cow::into_owned),
        unit: walker.attribute_text("unit"),
        ucd: walker.attribute_text("ucd"),
        data_type: walker
            .attribute_text("dataType")
            .or_else(|| walker.attribute_text("datatype")),
        description: None,
    };
    while let Some(child) = walker.child()? {
        match child {
            "Value" if param.value.is_none() => param.value = Some(walker.text()?.into_owned()),
            "Description" => walker.text_into(&mut param.description)?,
            _ => walker.skip()?,
        }
    }
    Ok(param)
}

/// Reads `WhereWhen` and the elements between it and the coordinates, which producers nest
/// in more ways than one.
fn location(walker: &mut Walker<'_>, place: &mut WhereWhen) -> Result<(), Fault> {
    while let Some(child) = walker.child()? {
        match child {
            "ObsDataLocation" | "ObservationLocation" => location(walker, place)?,
            // The observatory has coordinates too: they are not the event's.
            "ObservatoryLocation" => {
                place.observatory = place
                    .observatory
                    .take()
                    .or_else(|| walker.attribute_text("id"));
                walker.skip()?;
            }
            "AstroCoordSystem" => {
                place.coord_system = place
                    .coord_system
                    .take()
                    .or_else(|| walker.attribute_text("id"));
                walker.skip()?;
            }
            "AstroCoords" => coords(walker, place)?,
            "Description" => walker.text_into(&mut place.description)?,
            _ => walker.skip()?,
        }
    }
    Ok(())
}

fn coords(walker: &mut Walker<'_>, place: &mut WhereWhen) -> Result<(), Fault> {
    place.coord_system = walker
        .attribute_text("coord_system_id")
        .or_else(|| place.coord_system.take());
    while let Some(child) = walker.child()? {
        match child {
            "Time" => time(walker, place)?,
            "Position2D" | "Position3D" if place.coords.is_none() => {
                place.coords = Some(position(walker)?);
            }
            _ => walker.skip()?,
        }
    }
    Ok(())
}

fn time(walker: &mut Walker<'_>, place: &mut WhereWhen) -> Result<(), Fault> {
    while let Some(child) = walker.child()? {
        match child {
            "TimeInstant" => time(walker, place)?,
            "ISOTime" => walker.text_into(&mut place.iso_time)?,
            _ => walker.skip()?,
        }
    }
    Ok(())
}

fn position(walker: &mut Walker<'_>) -> Result<Coords, Fault> {
    let mut coords = Coords {
        unit: walker.attribute_text("unit"),
        ..Coords::default()
    };
    while let Some(child) = walker.child()? {
        match child {
            "Name1" => walker.text_into(&mut coords.name1)?,
            "Name2" => walker.text_into(&mut coords.name2)?,
            "Value2" | "Value3" => value(walker, &mut coords)?,
            "Error2Radius" => walker.text_into(&mut coords.error_radius)?,
            _ => walker.skip()?,
        }
    }
    Ok(coords)
}

fn value(walker: &mut Walker<'_>, coords: &mut Coords) -> Result<(), Fault> {
    while let Some(child) = walker.child()? {
        // Some give the unit here and not at the position.
        let unit = walker.attribute_text("pos_unit");
        coords.unit = coords.unit.take().or(unit);
        match child {
            "C1" => walker.text_into(&mut coords.c1)?,
            "C2" => walker.text_into(&mut coords.c2)?,
            _ => walker.skip()?,
        }
    }
    Ok(())
}

fn why(walker: &mut Walker<'_>, why: &mut Why) -> Result<(), Fault> {
    why.importance = number(walker, "importance");
    why.expires = walker.attribute_text("expires");
    while let Some(child) = walker.child()? {
        match child {
            "Name" => walker.text_into(&mut why.name)?,
            "Concept" => walker.text_into(&mut why.concept)?,
            "Inference" => why.inferences.push(inference(walker)?),
            "Description" => walker.text_into(&mut why.description)?,
            _ => walker.skip()?,
        }
    }
    Ok(())
}

fn inference(walker: &mut Walker<'_>) -> Result<Inference, Fault> {
    let mut inference = Inference {
        probability: number(walker, "probability"),
        relation: walker.attribute_text("relation"),
        ..Inference::default()
    };
    while let Some(child) = walker.child()? {
        match child {
            "Name" => walker.text_into(&mut inference.name)?,
            "Concept" => walker.text_into(&mut inference.concept)?,
            _ => walker.skip()?,
        }
    }
    Ok(inference)
}

fn citations(walker: &mut Walker<'_>, citations: &mut Vec<Citation>) -> Result<(), Fault> {
    while let Some(child) = walker.child()? {
        match child {
            "EventIVORN" => {
                let cite = walker.attribute_text("cite").map(CiteKind::from_word);
                let ivorn = walker.text()?.into_owned();
                citations.push(Citation { ivorn, cite });
            }
            _ => walker.skip()?,
        }
    }
    Ok(())
}

fn reference(walker: &mut Walker<'_>, slot: &mut Option<String>) -> Result<(), Fault> {
    *slot = slot.take().or_else(|| walker.attribute_text("uri"));
    walker.skip()
}

fn number(walker: &Walker<'_>, attribute: &str) -> Option<f64> {
    walker.attribute(attribute)?.trim().parse().ok()
}
