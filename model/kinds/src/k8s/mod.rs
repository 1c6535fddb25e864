//! Kubernetes' forms that are sent but not stored: bodies of subresources and of deletions.

pub mod delete_options;
pub mod scale;
pub mod token_request;

pub use delete_options::DeleteOptions;
pub use scale::Scale;
pub use token_request::TokenRequest;
