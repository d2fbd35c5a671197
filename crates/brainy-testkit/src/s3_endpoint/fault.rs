//! Which requests fail, and how.

use std::time::Duration;

/// How a request fails.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HttpFault {
    /// The connection is closed instead of an answer; the request had no effect.
    CloseBefore,
    /// The connection is closed instead of an answer; the request took effect.
    CloseAfter,
    /// The connection is reset (RST) instead of an answer; the request took effect.
    ResetAfter,
    /// This status and code are answered; the request had no effect.
    StatusBefore(u16, String),
    /// This status and code are answered; the request took effect.
    StatusAfter(u16, String),
    /// The request takes effect so much later, and is answered then, if the client still listens.
    DelayBefore(Duration),
    /// The request takes effect at once and is answered so much later.
    DelayAfter(Duration),
    /// The answer's body ends after so many bytes, then the connection is closed.
    CutBody(usize),
}

impl HttpFault {
    /// The name of this fault in `POST /_fault`, with its numbers read from `status`, `code`, `ms` and `bytes`.
    pub(crate) fn parse(kind: &str, argument: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let ms = || argument("ms").and_then(|ms| ms.parse().ok()).map(Duration::from_millis);
        let status = || {
            let status =
                argument("status").map_or(Some(503), |status| status.parse().ok().filter(|status| (100..=599).contains(status)))?;
            Some((status, argument("code").unwrap_or_else(|| "SlowDown".to_owned())))
        };
        match kind {
            "close_before" => Some(Self::CloseBefore),
            "close_after" => Some(Self::CloseAfter),
            "reset_after" => Some(Self::ResetAfter),
            "status_before" => status().map(|(status, code)| Self::StatusBefore(status, code)),
            "status_after" => status().map(|(status, code)| Self::StatusAfter(status, code)),
            "delay_before" => ms().map(Self::DelayBefore),
            "delay_after" => ms().map(Self::DelayAfter),
            "cut_body" => argument("bytes").and_then(|bytes| bytes.parse().ok()).map(Self::CutBody),
            _ => None,
        }
    }
}

/// Which requests meet a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultRule {
    fault: HttpFault,
    method: Option<String>,
    path_prefix: String,
    skip: u64,
    times: u64,
}

impl FaultRule {
    /// The next request, whichever it is, meets `fault`.
    pub fn new(fault: HttpFault) -> Self {
        Self { fault, method: None, path_prefix: String::new(), skip: 0, times: 1 }
    }

    /// Only requests with this method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// Only requests whose path (`/bucket/key`) begins so.
    #[must_use]
    pub fn path_prefix(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.path_prefix);
        self
    }

    /// Lets so many matching requests pass first.
    #[must_use]
    pub fn skip(mut self, skip: u64) -> Self {
        self.skip = skip;
        self
    }

    /// So many matching requests meet it.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    /// Every matching request meets it.
    #[must_use]
    pub fn always(self) -> Self {
        self.times(u64::MAX)
    }
}

/// What the request meets, if any rule matches it; counts it.
pub(crate) fn meet(rules: &mut Vec<FaultRule>, method: &str, path: &str) -> Option<HttpFault> {
    let index = rules.iter_mut().position(|rule| {
        let matches = rule.method.as_deref().is_none_or(|wanted| wanted == method) && path.starts_with(&rule.path_prefix);
        if matches && rule.skip > 0 {
            rule.skip -= 1;
            return false;
        }
        matches
    })?;
    let rule = &mut rules[index];
    rule.times -= 1;
    let fault = rule.fault.clone();
    if rule.times == 0 {
        rules.remove(index);
    }
    Some(fault)
}
