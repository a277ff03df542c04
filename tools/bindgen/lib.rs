pub use bindgen73::*;
