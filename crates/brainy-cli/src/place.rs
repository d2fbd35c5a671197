//! From what a person types to a store's URL.

use crate::failure::Failure;

/// The URL of `store`: itself if it is one, else that of the directory at this path.
///
/// # Errors
/// [`Failure::Argument`]: nothing was given, the path is no UTF-8 from its root on, or the store would end with the command.
pub(crate) fn url(store: &str) -> Result<String, Failure> {
    let wrong = |reason: String| Err(Failure::Argument { what: format!("store {store:?}"), reason });
    if store.is_empty() {
        return wrong("a path or a URL is needed".into());
    }
    if store.starts_with("memory://") {
        return wrong("a store in memory ends with the process that made it, so a command cannot use one".into());
    }
    if store.contains("://") {
        return Ok(store.to_owned());
    }
    let path = match std::path::absolute(store) {
        Ok(path) => path,
        Err(error) => return wrong(error.to_string()),
    };
    match path.to_str() {
        Some(path) => Ok(format!("file://{path}")),
        None => wrong(format!("the path {} is not UTF-8", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_directory_from_the_root_and_a_url_is_itself() {
        for same in ["s3://bucket/a", "file:///a b"] {
            assert_eq!(url(same).unwrap(), same);
        }
        assert_eq!(url("/a b/é#%3F").unwrap(), "file:///a b/é#%3F");
        let here = std::env::current_dir().unwrap();
        assert_eq!(url("a/b").unwrap(), format!("file://{}", here.join("a/b").display()));
        for wrong in ["", "memory://", "memory://a"] {
            let error = url(wrong).unwrap_err().to_string();
            assert!(error.contains(&format!("{wrong:?}")), "{error}");
        }
    }
}
