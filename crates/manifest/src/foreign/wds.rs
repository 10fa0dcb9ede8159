//! DALI's index of a WebDataset shard, `v1.1` and `v1.2`.
//!
//! Text: `v1.2 <samples>`, then one line a sample with `<ext> <offset> <size> <name>` for each
//! field. `v1.1` has no names. DALI looks for `<basename up to its first dot>.idx`.

use std::fmt::Write;

use super::{lines, member, need, number};
use crate::{Error, ErrorKind, Index, Result};

/// Tar blocks: every body starts at a multiple.
const BLOCK: u64 = 512;

/// Version of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Without names of members.
    V1_1,
    /// With names of members, which must not hold white space.
    V1_2,
}

impl Version {
    const ALL: [Self; 2] = [Self::V1_1, Self::V1_2];
    const LEN: usize = 4;

    /// As it stands in the file: `v1.2`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1_1 => "v1.1",
            Self::V1_2 => "v1.2",
        }
    }
}

/// A parsed index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WdsIndex {
    /// Version of the text.
    pub version: Version,
    /// The members of each sample.
    pub samples: Vec<Vec<Member>>,
}

/// One member of the tar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Extension without the leading dot.
    pub ext: String,
    /// Offset of the body in bytes.
    pub offset: u64,
    /// Length of the body in bytes.
    pub size: u64,
    /// Name of the member; none in `v1.1`.
    pub name: Option<String>,
}

/// Writes the index of one shard. Extensions are the index's field names, which are lower case:
/// ask DALI for those.
///
/// Fails with [`ErrorKind::Name`] for a key or field that DALI's parser, which splits at white
/// space, cannot read, and with [`ErrorKind::Unsupported`] for an empty shard, which DALI refuses.
pub fn write(index: &Index<'_>, version: Version) -> Result<String> {
    need(index, "webdataset", "a DALI index")?;
    if index.is_empty() {
        return Err(Error::unsupported("a DALI index of an empty shard"));
    }
    let mut out = format!("{} {}\n", version.name(), index.len());
    for record in index.iter() {
        if record.fields.len() == 0 {
            return Err(Error::unsupported(format!("sample {:?} without fields", record.key)));
        }
        let mut separator = "";
        for field in record.fields {
            let offset = field.offset.filter(|offset| offset.is_multiple_of(BLOCK));
            let Some(offset) = offset else {
                return Err(Error::corrupt(format!(
                    "body of {:?} at {:?}, not at a multiple of {BLOCK}",
                    member(record.key, field.name),
                    field.offset
                )));
            };
            let name = member(record.key, field.name);
            check_names(&name, field.name, version)?;
            // Writing to a String cannot fail.
            let _ = write!(out, "{separator}{} {offset} {}", field.name, field.len);
            if version == Version::V1_2 {
                let _ = write!(out, " {name}");
            }
            separator = " ";
        }
        out.push('\n');
    }
    Ok(out)
}

fn check_names(name: &str, ext: &str, version: Version) -> Result<()> {
    let spaced = |text: &str| text.chars().any(char::is_whitespace);
    if ext.is_empty() || spaced(ext) {
        let reason = "DALI cannot read an index with an extension that is empty or has a space; \
                      rename the file";
        return Err(Error::name(name, reason));
    }
    if version == Version::V1_2 && spaced(name) {
        let reason = "DALI cannot read a v1.2 index with a space in a name; rename the file or \
                      write v1.1, which has no names";
        return Err(Error::name(name, reason));
    }
    Ok(())
}

/// Parses an index. Fails as damage when samples are missing, when a member is incomplete, or when
/// a body is at no multiple of 512.
pub fn parse(bytes: &[u8]) -> Result<WdsIndex> {
    let head = bytes.get(..Version::LEN).unwrap_or(bytes);
    if !Version::ALL.iter().any(|v| v.name().as_bytes().starts_with(head)) {
        return Err(Error::new(ErrorKind::NotThis {
            reason: "not a DALI index of version v1.1 or v1.2".into(),
        }));
    }
    let mut lines = lines(bytes, "a DALI index")?;
    let (_, head) = lines.next().ok_or_else(|| Error::truncated("the head of a DALI index"))?;
    let (version, count) = head.split_once(' ').unwrap_or((head, ""));
    let version = Version::ALL.into_iter().find(|v| v.name() == version);
    let version = version.ok_or_else(|| Error::corrupt("no version").in_line(1))?;
    let count = number(count, 1)?;
    let samples: Vec<_> =
        lines.map(|(line, text)| sample(text, version, line)).collect::<Result<_>>()?;
    match (samples.len() as u64).cmp(&count) {
        std::cmp::Ordering::Equal => Ok(WdsIndex { version, samples }),
        std::cmp::Ordering::Less => {
            Err(Error::truncated(format!("the index: {} of {count} samples", samples.len())))
        }
        std::cmp::Ordering::Greater => {
            Err(Error::corrupt(format!("{} samples, not {count}", samples.len())))
        }
    }
}

fn sample(text: &str, version: Version, line: u64) -> Result<Vec<Member>> {
    let mut words = text.split_ascii_whitespace();
    let mut members = Vec::new();
    while let Some(ext) = words.next() {
        let mut word = || {
            let missing = || Error::corrupt(format!("{ext:?} is incomplete")).in_line(line);
            words.next().ok_or_else(missing)
        };
        let offset = number(word()?, line)?;
        if !offset.is_multiple_of(BLOCK) {
            let reason = format!("offset {offset} is no multiple of {BLOCK}");
            return Err(Error::corrupt(reason).in_line(line));
        }
        let size = number(word()?, line)?;
        let name = match version {
            Version::V1_1 => None,
            Version::V1_2 => Some(word()?.to_owned()),
        };
        members.push(Member { ext: ext.to_owned(), offset, size, name });
    }
    match members.is_empty() {
        true => Err(Error::corrupt("a sample without members").in_line(line)),
        false => Ok(members),
    }
}
