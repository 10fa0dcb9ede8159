//! Names: how a member's path splits into key and field, and which names are refused.

use super::header;

/// Splits a member's path into key and field by the webdataset library's rule: at the first dot of
/// the last path component. None where that library ignores the member.
///
/// The field keeps its case; readers lower it. A hidden file's key is its directory with the slash,
/// which is why such names are refused on writing; under a dotted directory it is no sample at all.
///
/// ```
/// use shardpack_formats::webdataset::split_name;
///
/// assert_eq!(split_name("d.v1/a.seg.png"), Some(("d.v1/a", "seg.png")));
/// assert_eq!(split_name("d/noext"), None);
/// assert_eq!(split_name("d/.hidden.jpg"), Some(("d/", "hidden.jpg")));
/// ```
pub fn split_name(path: &str) -> Option<(&str, &str)> {
    let base = path.rfind('/').map_or(0, |slash| slash + 1);
    let dot = base + path[base..].find('.')?;
    // The library matches directories, then one or more characters that are no dot (slashes
    // count), then the dot; its directories hold no newline.
    let directories = match path[..dot].rfind('.') {
        Some(last) => last + path[last..dot].find('/')? + 1,
        None => 0,
    };
    let splits = directories < dot && !path[..directories].contains('\n');
    splits.then(|| (&path[..dot], &path[dot + 1..]))
}

/// True for members that the webdataset library takes for metadata and skips: top-level names, or
/// top-level directories, between double underscores.
pub(super) fn is_metadata(path: &str) -> bool {
    match path.split_once('/') {
        Some((first, _)) => first.len() >= 4 && is_dunder(first),
        None => is_dunder(path),
    }
}

fn is_dunder(name: &str) -> bool {
    name.starts_with("__") && name.ends_with("__")
}

/// Why a key cannot be written, and what to do; none when it can.
pub(super) fn key_fault(key: &str) -> Option<&'static str> {
    let base = key.rsplit_once('/').map_or(key, |(_, base)| base);
    let mut parts = key.split('/');
    if key.is_empty() {
        Some("the key is empty")
    } else if key.starts_with('/') {
        Some("the key is an absolute path; make it relative")
    } else if has_control(key) {
        Some("the key holds a control character, which splits index lines and names; rename it")
    } else if parts.any(|part| matches!(part, "" | "." | "..")) {
        Some("the key has an empty, `.` or `..` path component; write the plain path")
    } else if base.contains('.') {
        Some("readers cut a name at the first dot of its last component; escape the key's dots")
    } else if base.starts_with("__") || is_metadata(key) {
        Some("names that start with two underscores are metadata to readers; rename it")
    } else {
        None
    }
}

/// Why a field name cannot be written, and what to do; none when it can.
pub(super) fn field_fault(field: &str) -> Option<&'static str> {
    if field.is_empty() {
        Some("the field has no name; give the file an extension")
    } else if field.starts_with('.') {
        Some("the field's name starts with a dot, which readers keep as part of it; drop the dot")
    } else if field.contains('/') {
        Some("the field's name holds a slash, which would move the key; rename it")
    } else if has_control(field) {
        Some("the field's name holds a control character; rename it")
    } else if field.starts_with("__") {
        Some("field names that start with two underscores belong to readers (`__key__`); rename it")
    } else if has_upper(field) {
        Some("readers lower a field's name; write it in lower case")
    } else {
        None
    }
}

/// Something about a name that is written as it is, but that some reader stumbles over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Concern {
    /// Over 100 bytes: wids reads the header's name field only.
    LongName,
    /// A blank: DALI cannot parse a v1.2 index with one.
    Whitespace,
    /// Beyond ASCII: older index builders fail on it.
    NotAscii,
    /// A dot in a directory: Hugging Face datasets before September 2024 cut the key there.
    DottedDirectory,
    /// A field that starts with an underscore: the webdataset library does not write it back.
    Underscore,
}

impl Concern {
    /// What happens, to whom.
    pub fn reason(self) -> &'static str {
        match self {
            Self::LongName => "names over 100 bytes are cut by wids",
            Self::Whitespace => "names with blanks make DALI's v1.2 index unreadable",
            Self::NotAscii => "names beyond ASCII break older index builders",
            Self::DottedDirectory => {
                "directories with dots end the key in Hugging Face datasets before September 2024"
            }
            Self::Underscore => {
                "fields with a leading underscore are not written back by webdataset"
            }
        }
    }
}

/// What to warn of in a name that is accepted.
///
/// ```
/// use shardpack_formats::webdataset::{Concern, concerns};
///
/// assert!(concerns("train/0001", "jpg").eq([]));
/// assert!(concerns("my cat", "jpg").eq([Concern::Whitespace]));
/// ```
pub fn concerns(key: &str, field: &str) -> impl Iterator<Item = Concern> {
    let either = |test: fn(&str) -> bool| test(key) || test(field);
    let directories = key.rsplit_once('/').map_or("", |(directories, _)| directories);
    [
        (key.len() + 1 + field.len() > header::MAX_NAME, Concern::LongName),
        (either(|name| name.contains(char::is_whitespace)), Concern::Whitespace),
        (either(|name| !name.is_ascii()), Concern::NotAscii),
        (directories.contains('.'), Concern::DottedDirectory),
        (field.starts_with('_'), Concern::Underscore),
    ]
    .into_iter()
    .filter_map(|(concerned, concern)| concerned.then_some(concern))
}

fn has_control(name: &str) -> bool {
    if name.is_ascii() {
        return name.bytes().any(|b| b.is_ascii_control());
    }
    name.chars().any(char::is_control)
}

/// True when lowering would change the name.
fn has_upper(name: &str) -> bool {
    if name.is_ascii() {
        return name.bytes().any(|b| b.is_ascii_uppercase());
    }
    name.to_lowercase() != name
}

/// Lowers a field's name, as readers do.
pub(super) fn lower(field: &str) -> String {
    if field.is_ascii() { field.to_ascii_lowercase() } else { field.to_lowercase() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitting() {
        for (path, want) in [
            ("a.jpg", Some(("a", "jpg"))),
            ("d.v1/a.seg.PNG", Some(("d.v1/a", "seg.PNG"))),
            ("./a.jpg", Some(("./a", "jpg"))),
            ("a..jpg", Some(("a", ".jpg"))),
            ("a.", Some(("a", ""))),
            ("a b.jpg", Some(("a b", "jpg"))),
            ("noext", None),
            ("d.v1/noext", None),
            (".hidden", None),
            ("d/.hidden.jpg", Some(("d/", "hidden.jpg"))),
            ("d.v1/.hidden.jpg", None),
            ("d.v1/e/.hidden.jpg", Some(("d.v1/e/", "hidden.jpg"))),
            ("./.x.jpg", None),
            ("/.x", Some(("/", "x"))),
            ("", None),
            ("d\n/a.jpg", Some(("d\n/a", "jpg"))),
            ("d.\n/a.jpg", None),
            ("a.jpg\n", Some(("a", "jpg\n"))),
        ] {
            assert_eq!(split_name(path), want, "{path:?}");
        }
    }

    #[test]
    fn metadata() {
        for (path, want) in [
            ("__meta__", true),
            ("__", true),
            ("__meta__/x.json", true),
            ("___/x.json", false),
            ("__meta__.json", false),
            ("x/__meta__.json", false),
            ("__a.b__", true),
        ] {
            assert_eq!(is_metadata(path), want, "{path:?}");
        }
    }

    #[test]
    fn refused_names() {
        for key in [
            "",
            "/a",
            "a/",
            "a//b",
            "./a",
            "a/./b",
            "../a",
            "a/..",
            ".",
            "..",
            ".hidden",
            "d/.hidden",
            "a.b",
            "d/a.b",
            "a\nb",
            "a\0",
            "a\u{7f}",
            "a\u{85}",
            "__a",
            "d/__a",
            "__meta__/a",
            "__m__",
        ] {
            assert!(key_fault(key).is_some(), "{key:?}");
        }
        for field in ["", ".jpg", "a/b", "JPG", "jpG", "É", "a\nb", "a\u{9f}", "__key__", "__x"] {
            assert!(field_fault(field).is_some(), "{field:?}");
        }
    }

    #[test]
    fn accepted_names() {
        for key in ["a", "d/a", "d.v1/a", "_a", "a__", "a b", "été", "x/__m__/a", "..d/a", "__m/a"]
        {
            assert_eq!(key_fault(key), None, "{key:?}");
        }
        for field in ["jpg", "seg.png", "a..b", "jpg.", "_x", "é", "0001.json", "c++"] {
            assert_eq!(field_fault(field), None, "{field:?}");
        }
    }

    #[test]
    fn accepted_names_split_into_themselves() {
        for key in ["a", "d/a", "d.v1/a", "..d/a", "été"] {
            for field in ["jpg", "seg.png", "a..b", "jpg."] {
                assert_eq!(split_name(&format!("{key}.{field}")), Some((key, field)));
            }
        }
    }
}
