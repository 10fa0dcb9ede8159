//! Files that SageMaker reads.
