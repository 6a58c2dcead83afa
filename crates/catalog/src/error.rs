//! Why a catalog cannot be used.

#[derive(Debug, Clone, thiserror::Error)]
pub enum CatalogError {
    #[error("catalog file `{file}`")]
    Syntax {
        file: String,
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A declaration in a file that cannot be deserialized.
    #[error("catalog file `{file}`, stream `{stream}`: {problem}")]
    Declaration {
        file: String,
        /// Its name, or its number if it has none.
        stream: String,
        problem: String,
    },
    /// A declaration that contradicts itself or another.
    #[error("stream `{stream}`: {problem}")]
    Stream { stream: String, problem: String },
}
