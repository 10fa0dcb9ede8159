//! What an epoch brings, unit by unit, fetched ahead of the reader.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use crossbeam_channel::{Receiver, bounded};
use shardpack_manifest::sagemaker::Value;

use super::Shared;
use crate::crew::{Buffer, PIECE};
use crate::objects::Objects;
use crate::survey::{Contents, Surveyed};
use crate::{Error, Result};

/// Pieces that are under way at a time, of however many objects: eight hide 50 ms before the first
/// byte of each at the speed of a core.
const AHEAD: usize = 8;

/// One object, or what one line holds of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Object(usize),
    Text(String),
}

/// The objects that a channel streams.
pub(super) fn objects(channel: &Surveyed) -> Option<&Arc<dyn Objects>> {
    match &channel.contents {
        Contents::Objects { objects, .. } | Contents::Lines { objects, .. } => Some(objects),
        Contents::Folder(_) => None,
    }
}

/// Units of an epoch in the order of delivery: objects, or line by line the attributes in the order
/// of the request.
pub(super) fn of(channel: &Surveyed, order: Vec<usize>) -> impl Iterator<Item = Unit> + use<> {
    let (files, lines): (Vec<usize>, _) = match &channel.contents {
        Contents::Objects { files, .. } => (files.iter().map(|(i, _)| *i).collect(), None),
        Contents::Lines { lines, .. } => (Vec::new(), Some(Arc::clone(lines))),
        Contents::Folder(_) => (Vec::new(), None),
    };
    let width = lines.as_ref().map_or(1, |lines| lines.attributes().len());
    order.into_iter().flat_map(move |place| {
        (0..width)
            .filter_map(|attribute| match &lines {
                None => files.get(place).map(|i| Unit::Object(*i)),
                Some(lines) => lines.value(place, attribute).map(|value| match value {
                    Value::Ref { number, .. } => Unit::Object(number as usize),
                    Value::Inline(inline) => Unit::Text(inline.text().into_owned()),
                }),
            })
            .collect::<Vec<_>>()
    })
}

/// Part of a unit.
pub(super) enum Piece {
    Fetched(Buffer),
    Text(Vec<u8>),
    /// Of this unit there is no more.
    End,
}

impl Piece {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Fetched(buffer) => buffer.bytes(),
            Self::Text(bytes) => bytes,
            Self::End => &[],
        }
    }
}

/// A piece that is under way.
enum Coming {
    Unit(Unit),
    Fetched(Receiver<shardpack_store::Result<Buffer>>),
    Text(String),
    End,
}

/// Units and their pieces, in order; up to [`AHEAD`] pieces are fetched before they are asked for.
pub(super) struct Ahead {
    units: Box<dyn Iterator<Item = Unit> + Send>,
    objects: Option<Arc<dyn Objects>>,
    shared: Shared,
    /// The object whose pieces are being ordered, and where the next starts.
    open: Option<(usize, u64)>,
    coming: VecDeque<Coming>,
    fetching: usize,
    /// What `read` has begun.
    current: Option<(Piece, usize)>,
}

impl Ahead {
    pub(super) fn new(
        units: impl Iterator<Item = Unit> + Send + 'static,
        channel: &Surveyed,
        shared: &Shared,
    ) -> Self {
        Self {
            units: Box::new(units),
            objects: objects(channel).cloned(),
            shared: shared.clone(),
            open: None,
            coming: VecDeque::new(),
            fetching: 0,
            current: None,
        }
    }

    pub(super) fn size(&self, unit: &Unit) -> u64 {
        match (unit, &self.objects) {
            (Unit::Object(i), Some(objects)) => objects.size(*i),
            (Unit::Object(_), None) => 0,
            (Unit::Text(text), _) => text.len() as u64,
        }
    }

    pub(super) fn name(&self, unit: &Unit) -> String {
        match (unit, &self.objects) {
            (Unit::Object(i), Some(objects)) => objects.name(*i),
            _ => "an attribute".into(),
        }
    }

    /// The next unit; whatever was left of the last one is passed over.
    pub(super) fn unit(&mut self) -> Option<Unit> {
        self.current = None;
        loop {
            self.reach();
            match self.coming.pop_front()? {
                Coming::Unit(unit) => return Some(unit),
                Coming::Fetched(_) => self.fetching -= 1,
                _ => {}
            }
        }
    }

    /// The next piece of the unit.
    pub(super) fn piece(&mut self) -> Result<Piece> {
        self.reach();
        let piece = match self.coming.pop_front() {
            Some(Coming::Fetched(coming)) => {
                self.fetching -= 1;
                Piece::Fetched(coming.recv().map_err(|_| Error::Stopped)??)
            }
            Some(Coming::Text(text)) => Piece::Text(text.into_bytes()),
            Some(other @ Coming::Unit(_)) => {
                self.coming.push_front(other);
                Piece::End
            }
            Some(Coming::End) | None => Piece::End,
        };
        self.reach();
        Ok(piece)
    }

    /// Orders pieces until enough are under way.
    fn reach(&mut self) {
        // Units without bytes are orders too, and cost nothing: the queue has an end of its own.
        while self.fetching < AHEAD && self.coming.len() < 4 * AHEAD {
            let Some((i, start)) = self.open else {
                let Some(unit) = self.units.next() else { return };
                self.coming.push_back(Coming::Unit(unit.clone()));
                match unit {
                    Unit::Object(i) => self.open = Some((i, 0)),
                    Unit::Text(text) => {
                        self.coming.extend([Coming::Text(text), Coming::End]);
                    }
                }
                continue;
            };
            let Some(objects) = &self.objects else { return };
            let len = objects.size(i).saturating_sub(start).min(PIECE);
            if len == 0 {
                self.coming.push_back(Coming::End);
                self.open = None;
                continue;
            }
            let stop = self.shared.link.stop();
            // One piece must be under way, or nothing would ever come.
            let Some(buffer) = self.shared.memory.take(len, self.fetching == 0, stop) else {
                return;
            };
            let (objects, link) = (Arc::clone(objects), Arc::clone(&self.shared.link));
            let (sender, coming) = bounded(1);
            self.shared.crew.hand(move || {
                if start == 0 {
                    link.request();
                }
                let _ = sender.send(buffer.fill(&*objects, i, start)); // nobody may want it any more
            });
            self.coming.push_back(Coming::Fetched(coming));
            self.fetching += 1;
            self.open = Some((i, start + len));
        }
    }
}

/// An error that passes through a decoder.
#[derive(Debug)]
pub(super) struct Failed(pub(super) Error);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Failed {}

/// The bytes of the unit that is at hand, to its end.
impl Read for &mut Ahead {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some((piece, at)) = &mut self.current {
                let rest = piece.bytes().get(*at..).unwrap_or_default();
                let n = rest.len().min(buf.len());
                if n > 0 || matches!(piece, Piece::End) {
                    let (to, from) = (buf.get_mut(..n), rest.get(..n));
                    if let (Some(to), Some(from)) = (to, from) {
                        to.copy_from_slice(from);
                    }
                    *at += n;
                    return Ok(n);
                }
                if buf.is_empty() {
                    return Ok(0);
                }
            }
            let piece = self.piece().map_err(|error| io::Error::other(Failed(error)))?;
            self.current = Some((piece, 0));
        }
    }
}
