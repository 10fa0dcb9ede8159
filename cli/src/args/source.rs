//! What a source is, and which of its files take part.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// What `SRC` is. SageMaker's own words are taken too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SourceTypeArg {
    /// A folder, an archive or an S3 prefix: every file below it (SageMaker's S3Prefix)
    #[value(alias = "S3Prefix")]
    Prefix,
    /// A list: one s3:// URI or path a line
    List,
    /// A JSON array of a prefix and what follows it, file by file (SageMaker's ManifestFile)
    #[value(alias = "ManifestFile")]
    Manifest,
    /// A JSON object a line, which is a sample (SageMaker's AugmentedManifestFile)
    #[value(alias = "AugmentedManifestFile")]
    Augmented,
}

/// What becomes of symbolic links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SymlinksArg {
    /// Pack what they point to
    Follow,
    /// Leave them out and count them
    Skip,
    /// Stop at the first
    Error,
}

/// What becomes of names that start with a dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HiddenArg {
    /// Leave them out and count them
    Skip,
    /// Treat them as any other
    Include,
}

/// What a source is, and which of its files take part.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Which files")]
pub(crate) struct SourceArgs {
    /// What SRC is
    ///
    /// A list or manifest lies on a local disk or on S3, and so do the files that it names: all of
    /// them here, or all of them there. Paths in it are relative to its own folder.
    #[arg(long, value_name = "TYPE", value_enum, default_value_t = SourceTypeArg::Prefix)]
    pub(crate) source_type: SourceTypeArg,
    /// Attributes of an augmented manifest, in this order [default: all of its first line, less
    /// *-metadata]
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub(crate) attributes: Vec<String>,
    /// Attributes of an augmented manifest that are labels, not fields
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub(crate) label_attribute: Vec<String>,
    /// Name the files of a manifest without its prefix, not by their whole keys
    #[arg(long)]
    pub(crate) strip_prefix: bool,
    /// Take only files that match; repeatable
    ///
    /// A glob with a / is held against the path below the source, one without against the file's
    /// name: `*.jpg`, `train/**`, `n0[1-3]*/*.jpg`.
    #[arg(long, value_name = "GLOB")]
    pub(crate) include: Vec<String>,
    /// Leave out files and folders that match; repeatable, stronger than --include
    #[arg(long, value_name = "GLOB")]
    pub(crate) exclude: Vec<String>,
    /// Symbolic links; those in archives are always left out and counted
    #[arg(long, value_name = "HOW", value_enum, default_value_t = SymlinksArg::Follow)]
    pub(crate) symlinks: SymlinksArg,
    /// Names that start with a dot
    #[arg(long, value_name = "HOW", value_enum, default_value_t = HiddenArg::Skip)]
    pub(crate) hidden: HiddenArg,
    /// Take the files that a list names, one a line, relative to SRC; - is stdin
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["include", "exclude", "symlinks", "hidden"]
    )]
    pub(crate) files_from: Option<PathBuf>,
    /// The list has a NUL byte after each name, as `find -print0` writes it
    #[arg(long, short = '0')]
    pub(crate) null: bool,
}
