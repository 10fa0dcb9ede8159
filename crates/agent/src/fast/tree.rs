//! Folders and files, as they were when the channel was listed.

use std::collections::HashMap;

/// Number of the root, which FUSE fixes.
pub(super) const ROOT: u64 = 1;

/// A folder or a file.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: Box<str>,
    pub(super) parent: u64,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// What is in it, sorted by name.
    Folder(Vec<u64>),
    /// Which object it is, and its length.
    File { object: usize, len: u64 },
}

/// Numbers are places in this table, from 1. It never changes.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    pub(super) bytes: u64,
}

impl Tree {
    /// The tree of these files (object, length, path) and of folders that may be empty. Paths are
    /// plain: the layout has seen to that.
    pub(super) fn new<'p>(
        files: impl Iterator<Item = (usize, u64, &'p str)>,
        folders: impl Iterator<Item = &'p str>,
    ) -> Self {
        let root = Node { name: "".into(), parent: ROOT, kind: Kind::Folder(Vec::new()) };
        let mut tree = Self { nodes: vec![root], bytes: 0 };
        let mut known = HashMap::from([("", ROOT)]);
        for (object, len, path) in files {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            let parent = tree.folder(folder, &mut known);
            tree.add(parent, name, Kind::File { object, len });
            tree.bytes += len;
        }
        for path in folders.filter(|path| !path.is_empty()) {
            tree.folder(path, &mut known);
        }
        tree.sort();
        tree
    }

    /// Number of a folder, which is made if it is new.
    fn folder<'p>(&mut self, path: &'p str, known: &mut HashMap<&'p str, u64>) -> u64 {
        if let Some(number) = known.get(path) {
            return *number;
        }
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = self.folder(above, known);
        let number = self.add(parent, name, Kind::Folder(Vec::new()));
        known.insert(path, number);
        number
    }

    fn add(&mut self, parent: u64, name: &str, kind: Kind) -> u64 {
        self.nodes.push(Node { name: name.into(), parent, kind });
        let number = self.nodes.len() as u64;
        if let Some(Node { kind: Kind::Folder(children), .. }) = self.node_mut(parent) {
            children.push(number);
        }
        number
    }

    fn sort(&mut self) {
        let names: Vec<Box<str>> = self.nodes.iter().map(|node| node.name.clone()).collect();
        let name = |number: &u64| names.get(*number as usize - 1);
        for node in &mut self.nodes {
            if let Kind::Folder(children) = &mut node.kind {
                children.sort_unstable_by_key(name);
            }
        }
    }

    fn node_mut(&mut self, number: u64) -> Option<&mut Node> {
        self.nodes.get_mut(usize::try_from(number.checked_sub(1)?).ok()?)
    }

    pub(super) fn node(&self, number: u64) -> Option<&Node> {
        self.nodes.get(usize::try_from(number.checked_sub(1)?).ok()?)
    }

    pub(super) fn children(&self, number: u64) -> Option<&[u64]> {
        match &self.node(number)?.kind {
            Kind::Folder(children) => Some(children),
            Kind::File { .. } => None,
        }
    }

    /// What is called so in a folder.
    pub(super) fn find(&self, folder: u64, name: &str) -> Option<u64> {
        let children = self.children(folder)?;
        let place = children
            .binary_search_by(|child| self.node(*child).map_or("", |node| &node.name).cmp(name));
        place.ok().and_then(|place| children.get(place).copied())
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn paths(tree: &Tree, at: u64, start: &str, found: &mut BTreeSet<String>) {
        for child in tree.children(at).unwrap_or_default() {
            let node = tree.node(*child).unwrap();
            let path = format!("{start}{}", node.name);
            assert_eq!((tree.find(at, &node.name), node.parent), (Some(*child), at));
            match node.kind {
                Kind::File { .. } => _ = found.insert(path),
                Kind::Folder(_) => {
                    found.insert(format!("{path}/"));
                    paths(tree, *child, &format!("{path}/"), found);
                }
            }
        }
    }

    #[test]
    fn folders_are_those_of_paths_and_those_that_are_named() {
        let files = [(0, 3, "b/c/d"), (1, 4, "a"), (2, 0, "b/a")];
        let tree = Tree::new(files.into_iter(), ["", "e/f", "b"].into_iter());
        let mut found = BTreeSet::new();
        paths(&tree, ROOT, "", &mut found);
        let wanted = ["a", "b/", "b/a", "b/c/", "b/c/d", "e/", "e/f/"];
        assert!(found.iter().eq(&wanted), "{found:?}");
        assert_eq!((tree.bytes, tree.len()), (7, 8));
        assert!(
            tree.find(ROOT, "x").is_none() && tree.node(0).is_none() && tree.node(99).is_none()
        );
        assert!(tree.children(tree.find(ROOT, "a").unwrap()).is_none());
    }

    proptest! {
        #[test]
        fn every_file_is_found_at_its_path(names in prop::collection::btree_set("[a-c]{1,2}", 0..6), deep in 0usize..4) {
            let paths: Vec<String> = names.iter().map(|n| format!("{}{n}.x", "d/".repeat(deep))).collect();
            let tree = Tree::new(paths.iter().enumerate().map(|(i, p)| (i, 1, &**p)), std::iter::empty());
            for (i, path) in paths.iter().enumerate() {
                let number = path.split('/').try_fold(ROOT, |at, part| tree.find(at, part));
                let node = number.and_then(|number| tree.node(number)).unwrap();
                let found = matches!(node.kind, Kind::File { object, len: 1 } if object == i);
                prop_assert!(found, "{path}");
            }
        }
    }
}
