//! How the path of a file is cut into key and field.

use std::borrow::Cow;

use rayon::prelude::*;
use regex::Regex;
use shardpack_store::{File, FileId, Listing};

use crate::options::{Grouping, PackOptions};

/// The rule of a run, and what it found where finding it again would be slow.
#[derive(Debug)]
pub(crate) struct Naming<'l> {
    bare_field: Option<String>,
    /// Where the key ends in each file's name, where the source knows: a sample of a dataset keeps
    /// its key and fields, whatever dots they have.
    cuts: Option<&'l [u32]>,
    /// Places of key and field by file, where a pattern says them: names are wanted half a dozen
    /// times, and a match costs microseconds.
    spans: Option<Vec<Spans>>,
}

/// Where key and field stand in a path, in bytes; an empty key is no match.
#[derive(Clone, Copy, Debug, Default)]
struct Spans {
    key: (u32, u32),
    field: (u32, u32),
}

/// Key and field of one name; the key is a folder and a stem.
struct Cut<'p> {
    stem: &'p str,
    field: &'p str,
}

impl<'l> Naming<'l> {
    /// The names of a dataset's samples.
    pub(crate) fn given(cuts: &'l [u32]) -> Self {
        Self { bare_field: None, cuts: Some(cuts), spans: None }
    }

    pub(crate) fn new(listing: &Listing, options: &PackOptions) -> Self {
        let spans = match &options.grouping {
            Grouping::FirstDot => None,
            Grouping::Pattern(pattern) => Some(
                (0..listing.len() as FileId)
                    .into_par_iter()
                    .map(|id| find(pattern, &listing.file(id)).unwrap_or_default())
                    .collect(),
            ),
        };
        Self { bare_field: options.bare_field.clone(), cuts: None, spans }
    }

    /// True when names alone tell which files belong together.
    pub(crate) fn is_first_dot(&self) -> bool {
        self.spans.is_none()
    }

    /// What is wrong with the name of a file.
    pub(crate) fn complaint(&self, id: FileId, name: &str) -> Option<&'static str> {
        if let Some(spans) = &self.spans {
            let (start, end) = spans[id as usize].key;
            return (start == end).then_some("--group does not match");
        }
        match self.cut(name) {
            _ if name.starts_with('.') => Some("the name starts with a dot"),
            None => Some("the name has no extension"),
            Some(cut) if cut.field.is_empty() => Some("the extension is empty"),
            Some(_) => None,
        }
    }

    /// Name of the field that a file becomes: lower case, as readers fold it.
    pub(crate) fn field<'n>(&'n self, listing: &'n Listing, id: FileId) -> Cow<'n, str> {
        let file = listing.file(id);
        if let Some(at) = self.cuts {
            return given(file, at[id as usize]).1.into();
        }
        let field = match &self.spans {
            None => self.cut(file.text.unwrap_or_default()).map_or("", |cut| cut.field).into(),
            Some(spans) => part(file, spans[id as usize].field),
        };
        match field.bytes().any(|b| b.is_ascii_uppercase()) || !field.is_ascii() {
            true => Cow::Owned(field.to_lowercase()),
            false => field,
        }
    }

    /// Appends the key of the sample that a file belongs to.
    pub(crate) fn append_key(&self, listing: &Listing, id: FileId, key: &mut String) {
        let file = listing.file(id);
        if let Some(spans) = &self.spans {
            return key.push_str(&part(file, spans[id as usize].key));
        }
        let name = file.text.unwrap_or_default();
        if !file.dir.is_empty() {
            key.push_str(std::str::from_utf8(file.dir).unwrap_or_default());
            key.push('/');
        }
        key.push_str(match self.cuts {
            Some(at) => given(file, at[id as usize]).0,
            None => self.cut(name).map_or(name, |cut| cut.stem),
        });
    }

    /// True when two files have the same key.
    pub(crate) fn same_key(&self, listing: &Listing, a: FileId, b: FileId) -> bool {
        let (first, second) = (listing.file(a), listing.file(b));
        if let Some(spans) = &self.spans {
            return part(first, spans[a as usize].key) == part(second, spans[b as usize].key);
        }
        let stem = |name: &[u8]| name.iter().position(|b| *b == b'.').unwrap_or(name.len());
        let together = first.dir_id == second.dir_id || first.dir == second.dir;
        together && first.name[..stem(first.name)] == second.name[..stem(second.name)]
    }

    /// Bytes of memory that this holds.
    pub(crate) fn memory(&self) -> usize {
        self.spans.as_ref().map_or(0, |spans| spans.capacity() * size_of::<Spans>())
    }

    /// Cuts a file's name by the first dot. The field may be empty; the caller refuses that.
    fn cut<'p>(&'p self, name: &'p str) -> Option<Cut<'p>> {
        // `split_once` searches long texts; most of these are ten bytes.
        match (name.bytes().position(|byte| byte == b'.'), &self.bare_field) {
            (Some(0), _) => None,
            (Some(dot), _) => Some(Cut { stem: &name[..dot], field: &name[dot + 1..] }),
            (None, Some(field)) => Some(Cut { stem: name, field }),
            (None, None) => None,
        }
    }
}

/// The parts of a name whose key ends at `at`, where a dot stands.
fn given(file: File<'_>, at: u32) -> (&str, &str) {
    let name = file.text.unwrap_or_default();
    let (stem, field) = name.split_at_checked(at as usize).unwrap_or((name, ""));
    (stem, field.get(1..).unwrap_or_default())
}

fn find(pattern: &Regex, file: &File<'_>) -> Option<Spans> {
    let path = String::from_utf8(file.path()).ok()?;
    let captures = pattern.captures(&path)?;
    let span = |name| {
        let found = captures.name(name)?.range();
        (!found.is_empty()).then_some((found.start as u32, found.end as u32))
    };
    Some(Spans { key: span("key")?, field: span("field")? })
}

/// A part of a file's path: a copy only where it reaches into the folder.
fn part(file: File<'_>, (start, end): (u32, u32)) -> Cow<'_, str> {
    let (start, end) = (start as usize, end as usize);
    let name_at = if file.dir.is_empty() { 0 } else { file.dir.len() + 1 };
    match (start.checked_sub(name_at), file.text) {
        (Some(first), Some(name)) => name.get(first..end - name_at).unwrap_or_default().into(),
        _ => String::from_utf8_lossy(&file.path()[start..end]).into_owned().into(),
    }
}
