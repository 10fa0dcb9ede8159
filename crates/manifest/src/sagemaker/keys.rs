//! What the files of a channel are called.

/// What a key is called below the prefix that was asked for.
///
/// A prefix is a text, not a folder: `data/train` is also the start of `data/train-01.jpg`. So
/// everything through the prefix's last slash goes, and so does the folder that the prefix names in
/// full.
///
/// ```
/// use shardpack_manifest::sagemaker::PrefixNames;
///
/// let names = PrefixNames::new("data/train");
/// assert_eq!(names.name("data/train/cat/x.jpg"), ("cat/x.jpg", true));
/// assert_eq!(names.name("data/train-01.jpg"), ("train-01.jpg", false));
/// ```
#[derive(Clone, Debug)]
pub struct PrefixNames<'p> {
    /// Bytes of the prefix through its last slash.
    cut: usize,
    /// What follows, with a slash: `train/`.
    folder: Option<String>,
    prefix: &'p str,
}

impl<'p> PrefixNames<'p> {
    /// The names of keys that start with `prefix`.
    pub fn new(prefix: &'p str) -> Self {
        let cut = prefix.rfind('/').map_or(0, |slash| slash + 1);
        let folder = prefix.get(cut..).filter(|last| !last.is_empty());
        Self { cut, folder: folder.map(|last| format!("{last}/")), prefix }
    }

    /// The prefix.
    pub fn prefix(&self) -> &'p str {
        self.prefix
    }

    /// The name of a key that starts with the prefix, and whether it lies in the folder that the
    /// prefix names.
    pub fn name<'k>(&self, key: &'k str) -> (&'k str, bool) {
        let below = key.get(self.cut..).unwrap_or_default();
        match self.folder.as_deref().and_then(|folder| below.strip_prefix(folder)) {
            Some(name) => (name, true),
            None => (below, self.prefix.ends_with('/') || self.prefix.is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_of_channels() {
        for (prefix, key, name, inside) in [
            ("", "a/b.jpg", "a/b.jpg", true),
            ("train", "train/class_dog/x.jpg", "class_dog/x.jpg", true),
            ("train/", "train/class_dog/x.jpg", "class_dog/x.jpg", true),
            ("data/train", "data/train-data.csv", "train-data.csv", false),
            ("data/train", "data/train/x.jpg", "x.jpg", true),
            ("data/train-01.jpg", "data/train-01.jpg", "train-01.jpg", false),
            ("in", "in/in/a.rec", "in/a.rec", true),
        ] {
            assert_eq!(PrefixNames::new(prefix).name(key), (name, inside), "{prefix} {key}");
        }
    }
}
