//! Rules that a job breaks, each with the document that has it.

use std::fmt;

use shardpack_channel::Violation;

/// A rule that is broken, or a doubt, and where the rule stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Field, value, rule and advice.
    pub violation: Violation,
    /// The document: of AWS, or `shardpack` where AWS documents nothing and we refuse all the same.
    pub source: &'static str,
    /// Whether nothing may start.
    pub is_broken: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (source: {})", self.violation, self.source)
    }
}

/// Fields, by the end of their names, and the documents that tell their rules.
const SOURCES: &[(&str, &str)] = &[
    ("S3DataType", "SageMaker API, S3DataSource; Developer Guide, Access Training Data"),
    ("AttributeNames", "SageMaker API, S3DataSource; Developer Guide, Augmented Manifest"),
    ("S3Uri", "SageMaker API, S3DataSource"),
    ("S3DataDistributionType", "SageMaker API, S3DataSource"),
    ("InstanceGroupNames", "SageMaker API, S3DataSource"),
    ("FileSystemDataSource", "SageMaker API, FileSystemDataSource"),
    ("DirectoryPath", "SageMaker API, FileSystemDataSource"),
    ("FileSystemId", "SageMaker API, FileSystemDataSource"),
    ("InputMode", "SageMaker API, Channel; Developer Guide, Access Training Data"),
    ("CompressionType", "SageMaker API, Channel"),
    ("RecordWrapperType", "SageMaker API, Channel"),
    ("ShuffleConfig.Seed", "SageMaker API, ShuffleConfig"),
    ("ChannelName", "SageMaker API, Channel"),
    ("InputDataConfig", "SageMaker API, CreateTrainingJob"),
];

impl Finding {
    /// A rule of the API.
    pub(crate) fn broken(violation: Violation) -> Self {
        let source = source(&violation.field);
        Self { violation, source, is_broken: true }
    }

    /// What SageMaker may take all the same.
    pub(crate) fn doubt(violation: Violation) -> Self {
        Self { is_broken: false, ..Self::broken(violation) }
    }

    /// A rule that only a listing shows.
    pub(crate) fn listed(
        is_broken: bool,
        source: &'static str,
        field: String,
        value: impl Into<String>,
        rule: impl Into<String>,
        advice: &str,
    ) -> Self {
        let (value, rule, advice) = (value.into(), rule.into(), advice.to_owned());
        Self { violation: Violation { field, value, rule, advice }, source, is_broken }
    }
}

fn source(field: &str) -> &'static str {
    let plain = field.trim_end_matches(|c: char| c == '[' || c == ']' || c.is_ascii_digit());
    let known = SOURCES.iter().find(|(end, _)| plain.ends_with(end));
    known.map_or("SageMaker API, CreateTrainingJob", |(_, source)| source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_their_documents() {
        for (field, wanted) in [
            ("InputDataConfig[3].DataSource.S3DataSource.AttributeNames[1]", "Augmented Manifest"),
            ("InputDataConfig[0].InputMode", "Access Training Data"),
            ("InputDataConfig", "CreateTrainingJob"),
            ("Environment.X", "CreateTrainingJob"),
        ] {
            assert!(source(field).contains(wanted), "{field}: {}", source(field));
        }
    }
}
