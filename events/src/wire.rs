//! Bodies that cross a boundary, field by field. Towards clients and containers `camelCase`, towards the provider `snake_case`.

pub mod callback;
pub mod client;
pub mod dispatch;
pub mod operator;
