//! Where things are in a training container.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use shardpack_manifest::sagemaker::local_path;

use crate::name::check_name;
use crate::{Error, Hyperparameters, InputDataConfig, ResourceConfig, Result};

/// Where everything is unless `SAGEMAKER_BASE_DIR` says otherwise.
const BASE: &str = "/opt/ml";
/// The variable that moves everything, as SageMaker's own toolkit has it.
const BASE_VARIABLE: &str = "SAGEMAKER_BASE_DIR";

/// The environment, by name of a variable. `&|name| std::env::var_os(name)` is the real one.
pub type Env<'e> = &'e dyn Fn(&str) -> Option<OsString>;

/// The paths of a training container, and what its environment says instead.
///
/// Nothing here looks at a file: paths come out, and the bytes of the three configuration files go
/// in where they exist.
///
/// ```
/// use std::path::Path;
/// use shardpack_channel::Container;
///
/// let env = |name: &str| (name == "SM_CHANNEL_TRAIN").then(|| "/data/train".into());
/// let container = Container::new(&env);
/// assert_eq!(container.data_dir(), Path::new("/opt/ml/input/data"));
/// let places = container.channel("train", None)?;
/// assert_eq!(
///     places.iter().map(ToString::to_string).collect::<Vec<_>>(),
///     ["/data/train (from SM_CHANNEL_TRAIN)", "/opt/ml/input/data/train (the default)"]
/// );
/// # Ok::<(), shardpack_channel::Error>(())
/// ```
#[derive(Clone)]
pub struct Container<'e> {
    env: Env<'e>,
    base: PathBuf,
    /// Whether the environment says so.
    moved: bool,
}

impl fmt::Debug for Container<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { env: _, base, moved } = self;
        f.debug_struct("Container").field("base", base).field("moved", moved).finish()
    }
}

/// A place where a channel may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The place.
    pub place: Place,
    /// Who says so.
    pub origin: Origin,
}

/// A path or an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A directory or a file; of a Pipe channel, what the names of its [`fifo`](crate::fifo)s
    /// start with.
    Path(PathBuf),
    /// Something elsewhere: `s3://bucket/prefix/`.
    Uri(String),
}

/// Who says where a channel is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The caller.
    Given,
    /// This variable of the environment.
    Variable(String),
    /// Nobody.
    Default,
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Path(path) => write!(f, "{}", path.display())?,
            Place::Uri(uri) => write!(f, "{uri}")?,
        }
        match &self.origin {
            Origin::Given => write!(f, " (as given)"),
            Origin::Variable(name) => write!(f, " (from {name})"),
            Origin::Default => write!(f, " (the default)"),
        }
    }
}

impl<'e> Container<'e> {
    /// The container that this environment describes. Variables that are empty count as unset.
    pub fn new(env: Env<'e>) -> Self {
        let base = env(BASE_VARIABLE).filter(|value| !value.is_empty());
        let moved = base.is_some();
        Self { env, base: base.map_or_else(|| BASE.into(), PathBuf::from), moved }
    }

    /// `/opt/ml`, or what `SAGEMAKER_BASE_DIR` says.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// `input/config/inputdataconfig.json` below the base.
    pub fn input_data_config_path(&self) -> PathBuf {
        self.base.join("input/config/inputdataconfig.json")
    }

    /// `input/config/resourceconfig.json` below the base.
    pub fn resource_config_path(&self) -> PathBuf {
        self.base.join("input/config/resourceconfig.json")
    }

    /// `input/config/hyperparameters.json` below the base.
    pub fn hyperparameters_path(&self) -> PathBuf {
        self.base.join("input/config/hyperparameters.json")
    }

    /// `input/data` below the base: channels, and files that are none. Ignore what is unknown.
    pub fn data_dir(&self) -> PathBuf {
        self.base.join("input/data")
    }

    /// `model` below the base: what is uploaded as the model.
    pub fn model_dir(&self) -> PathBuf {
        self.base.join("model")
    }

    /// `output/data` below the base: what else is uploaded.
    pub fn output_data_dir(&self) -> PathBuf {
        self.base.join("output/data")
    }

    /// `output/failure` below the base. Its first 1,024 characters become the job's
    /// `FailureReason`.
    pub fn failure_path(&self) -> PathBuf {
        self.base.join("output/failure")
    }

    /// `checkpoints` below the base: what survives a restart of the job.
    pub fn checkpoints_dir(&self) -> PathBuf {
        self.base.join("checkpoints")
    }

    /// `code` below the base.
    pub fn code_dir(&self) -> PathBuf {
        self.base.join("code")
    }

    /// Where a channel may be, best first: `SAGEMAKER_BASE_DIR`, `SM_CHANNEL_<NAME>`, `/opt/ml`.
    /// What is `given`, a path or a URI, is the only place: whoever names one wants no other.
    ///
    /// Fails with [`ErrorKind::Name`](crate::ErrorKind::Name) for what is no name of a channel;
    /// with [`ErrorKind::Value`](crate::ErrorKind::Value) for a given text that is empty.
    pub fn channel(&self, name: &str, given: Option<&str>) -> Result<Vec<Candidate>> {
        check_name(name)?;
        if let Some(text) = given {
            return given_place(name, text).map(|candidate| vec![candidate]);
        }
        // Nothing is replaced but the case: `my-val.set` is in SM_CHANNEL_MY-VAL.SET.
        let variable = format!("SM_CHANNEL_{}", name.to_uppercase());
        let below = |base: &Path, origin| {
            let place = Place::Path(base.join("input/data").join(name));
            Candidate { place, origin }
        };
        let moved = self.moved.then(|| below(&self.base, Origin::Variable(BASE_VARIABLE.into())));
        let told = self.variable(&variable).map(|path| Candidate {
            place: Place::Path(path.into()),
            origin: Origin::Variable(variable),
        });
        let default = below(Path::new(BASE), Origin::Default);
        let mut places: Vec<Candidate> = Vec::new();
        for candidate in moved.into_iter().chain(told).chain([default]) {
            if places.iter().all(|other| other.place != candidate.place) {
                places.push(candidate);
            }
        }
        Ok(places)
    }

    /// The channels: from the file's bytes if it exists, else from `SM_INPUT_DATA_CONFIG`. `None`
    /// when there is neither. Errors name the one that was read.
    pub fn input_data_config(&self, file: Option<&[u8]>) -> Result<Option<InputDataConfig>> {
        let path = self.input_data_config_path();
        self.read(file, &path, "SM_INPUT_DATA_CONFIG", InputDataConfig::parse)
    }

    /// The hyperparameters: from the file's bytes if it exists, else from `SM_HPS`.
    pub fn hyperparameters(&self, file: Option<&[u8]>) -> Result<Option<Hyperparameters>> {
        self.read(file, &self.hyperparameters_path(), "SM_HPS", Hyperparameters::parse)
    }

    /// The hosts: from the file's bytes if it exists, else from `SM_RESOURCE_CONFIG`, else from
    /// `SM_HOSTS` and `SM_CURRENT_HOST`. `None` when there is nothing of that.
    pub fn resource_config(&self, file: Option<&[u8]>) -> Result<Option<ResourceConfig>> {
        let path = self.resource_config_path();
        match self.read(file, &path, "SM_RESOURCE_CONFIG", ResourceConfig::parse)? {
            Some(config) => Ok(Some(config)),
            None => self.hosts(),
        }
    }

    fn hosts(&self) -> Result<Option<ResourceConfig>> {
        const NAMES: [&str; 2] = ["SM_HOSTS", "SM_CURRENT_HOST"];
        let (hosts, current) = match NAMES.map(|name| self.variable(name)) {
            [None, None] => return Ok(None),
            [Some(hosts), Some(current)] => (hosts, current),
            [Some(_), None] => {
                return Err(Error::variables(NAMES, "SM_CURRENT_HOST is missing; set both"));
            }
            [None, Some(_)] => {
                return Err(Error::variables(NAMES, "SM_HOSTS is missing; set both"));
            }
        };
        let text = utf8(NAMES[0], hosts)?;
        let list = serde_json::from_str(&text)
            .map_err(|_| Error::value(NAMES[0], text, "must be a JSON array of texts"))?;
        let config = ResourceConfig::new(utf8(NAMES[1], current)?, list);
        config.map(Some).map_err(|error| error.at(NAMES.join(", ")))
    }

    fn read<T>(
        &self,
        file: Option<&[u8]>,
        path: &Path,
        variable: &str,
        parse: impl Fn(&[u8]) -> Result<T>,
    ) -> Result<Option<T>> {
        if let Some(bytes) = file {
            return parse(bytes).map(Some).map_err(|e| e.at(path.display().to_string()));
        }
        let Some(value) = self.variable(variable) else { return Ok(None) };
        let text = utf8(variable, value)?;
        parse(text.as_bytes()).map(Some).map_err(|e| e.at(variable))
    }

    fn variable(&self, name: &str) -> Option<OsString> {
        (self.env)(name).filter(|value| !value.is_empty())
    }
}

fn given_place(channel: &str, text: &str) -> Result<Candidate> {
    let place = match local_path(text) {
        Some("") => return Err(Error::value(channel, text, "must be a path or a URI")),
        Some(path) => Place::Path(path.into()),
        None => Place::Uri(text.to_owned()),
    };
    Ok(Candidate { place, origin: Origin::Given })
}

/// The text of a variable.
pub(crate) fn utf8(name: &str, value: OsString) -> Result<String> {
    value
        .into_string()
        .map_err(|value| Error::value(name, value.to_string_lossy().into_owned(), "must be UTF-8"))
}

#[cfg(test)]
mod tests;
