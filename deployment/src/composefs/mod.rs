//! What lies on a physical root that holds composefs deployments (composefs-rs 0.9, bootc).
//!
//! [`repository`] tells what the repository `/composefs` says about itself, and where its images and objects are;
//! [`setup_root`] reads what the deployment wants `/`, `/etc` and `/var` to be.

mod json;
pub mod repository;
pub mod setup_root;

pub use repository::{Metadata, ObjectPath, RepositoryError};
pub use setup_root::{Mount, SetupRoot, SetupRootError};
