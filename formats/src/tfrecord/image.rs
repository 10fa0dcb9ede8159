//! The features that image pipelines expect (`image/encoded`, `image/class/label`, …).

use super::feature::{Feature, Value, is_int64};
use crate::{Error, ErrorKind, Result, SampleShape};

pub(super) const LABEL: &str = "image/class/label";
pub(super) const TEXT: &str = "image/class/text";
pub(super) const ENCODED: &str = "image/encoded";
pub(super) const FILENAME: &str = "image/filename";
pub(super) const FORMAT: &str = "image/format";

/// Extensions of images and what `image/format` calls them.
const FORMATS: &[(&str, &str)] = &[
    ("jpg", "jpeg"),
    ("jpeg", "jpeg"),
    ("png", "png"),
    ("gif", "gif"),
    ("bmp", "bmp"),
    ("webp", "webp"),
    ("tif", "tiff"),
    ("tiff", "tiff"),
];

fn format(extension: &str) -> Option<&'static str> {
    FORMATS.iter().find(|(known, _)| extension.eq_ignore_ascii_case(known)).map(|(_, f)| *f)
}

/// Extension for a stored `image/format`: `jpg` for `JPEG`.
pub(super) fn extension(stored: &str) -> Option<&'static str> {
    let format = format(stored)?;
    FORMATS.iter().find(|(_, known)| *known == format).map(|(extension, _)| *extension)
}

/// Key and extension of a stored `image/filename`; none when it does not end as an image does.
pub(super) fn split_filename(name: &str) -> Option<(&str, &str)> {
    name.rsplit_once('.').filter(|(key, extension)| !key.is_empty() && format(extension).is_some())
}

/// Which field is the image: the first whose whole name is an image extension. `seg.png` is none.
pub(super) fn field(sample: &SampleShape<'_>) -> Option<usize> {
    sample.fields.iter().position(|field| format(field.name).is_some())
}

/// The features that stand for key, label and the image in field `index`, sorted by name.
pub(super) fn features<'a>(sample: &SampleShape<'a>, index: usize) -> [Option<Feature<'a>>; 5] {
    let label = sample.label;
    let Some(image) = sample.fields.get(index) else { return [const { None }; 5] };
    let feature = |name, value| Some(Feature { name, value });
    [
        (!label.values.is_empty())
            .then_some(Feature { name: LABEL, value: Value::Ints(&label.values) }),
        label.text.as_ref().and_then(|text| feature(TEXT, Value::Bytes(text.as_bytes()))),
        feature(ENCODED, Value::Body { field: index, len: image.len }),
        feature(FILENAME, Value::FileName { key: sample.key, extension: image.name }),
        format(image.name).and_then(|format| feature(FORMAT, Value::Bytes(format.as_bytes()))),
    ]
}

/// Refuses a sample without an image or with two, names under `image/`, and labels that are no
/// class ids.
pub(super) fn check(sample: &SampleShape<'_>) -> Result<()> {
    let unsupported = |what: String| Err(Error::new(ErrorKind::Unsupported { what }));
    let images = sample.fields.iter().filter(|field| format(field.name).is_some()).count();
    if images != 1 {
        return unsupported(format!(
            "{:?} has {images} image fields: schema image keeps exactly one (jpg, png, …); \
             choose schema fields",
            sample.key
        ));
    }
    if let Some(field) = sample.fields.iter().find(|field| field.name.starts_with("image/")) {
        let reason = "schema image writes the names under image/ itself; rename it".into();
        return Err(Error::new(ErrorKind::Name { name: field.name.into(), reason }));
    }
    if let Some(value) = sample.label.values.iter().find(|v| !is_int64(**v)) {
        let reason = format!("{LABEL} holds class ids, not {value}; choose schema fields");
        return Err(Error::new(ErrorKind::Label { reason }));
    }
    Ok(())
}
