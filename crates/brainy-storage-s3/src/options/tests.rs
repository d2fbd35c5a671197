use super::*;

const NONE: fn(&str) -> Option<String> = |_| None;

fn url(text: &str) -> Result<String, String> {
    S3Options::from_url(text).map(|options| options.bucket_url().unwrap().to_string()).map_err(|error| error.to_string())
}

#[test]
fn a_url_says_where_the_bucket_answers() {
    for (text, expected) in [
        ("s3://things", "https://things.s3.us-east-1.amazonaws.com/"),
        ("s3://things/a/b?region=eu-west-1", "https://things.s3.eu-west-1.amazonaws.com/"),
        ("s3://things?region=cn-north-1", "https://things.s3.cn-north-1.amazonaws.com.cn/"),
        ("s3://things?path_style=true", "https://s3.us-east-1.amazonaws.com/things"),
        ("s3://my.things", "https://s3.us-east-1.amazonaws.com/my.things"),
        ("s3://things?endpoint=http://127.0.0.1:9000", "http://127.0.0.1:9000/things"),
        ("s3://things?endpoint=http://localhost:9000/", "http://localhost:9000/things"),
        ("s3://things?endpoint=http://[::1]:9000", "http://[::1]:9000/things"),
        ("s3://things?endpoint=https://s3.example.org/gate", "https://s3.example.org/gate/things"),
        ("s3://things?endpoint=https://s3.example.org&path_style=false", "https://things.s3.example.org/"),
        ("s3://things?endpoint=http://s3.example.org&allow_http=true", "http://s3.example.org/things"),
    ] {
        assert_eq!(url(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn a_wrong_option_is_refused_by_its_name_and_not_repeated() {
    for (text, part) in [
        ("things", "url"),
        ("file:///things", "url"),
        ("s3://", "bucket"),
        ("s3://ab", "bucket"),
        ("s3://things--use1-az4--x-s3", "directory buckets"),
        ("s3://AKIA:sesame@things", "credentials"),
        ("s3://things?secret=sesame", "url"),
        ("s3://things?path_style=sesame", "path_style"),
        ("s3://things/a//b", "prefix"),
        ("s3://things?endpoint=http://s3.example.org", "allow_http"),
        ("s3://things?endpoint=ftp://s3.example.org", "endpoint"),
        ("s3://things?endpoint=https://me:sesame@s3.example.org", "endpoint"),
        ("s3://things?endpoint=https://s3.example.org?key=sesame", "endpoint"),
        ("s3://things?endpoint=http://127.0.0.1:9000&path_style=false", "path_style"),
        ("s3://things?region=a/b", "region"),
    ] {
        let error = url(text).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
        assert!(!error.contains("sesame"), "{text}: {error}");
    }
    let options = S3Options::new("things").with_request_timeout(Duration::ZERO);
    assert!(options.validate().unwrap_err().to_string().contains("request_timeout"));
}

#[test]
fn variables_fill_what_is_not_set_and_no_more() {
    let variables = |name: &str| {
        let value = match name {
            "AWS_ENDPOINT_URL" => "http://127.0.0.1:1",
            "AWS_DEFAULT_REGION" => "eu-north-1",
            "AWS_REGION" => "",
            "AWS_ACCESS_KEY_ID" => "id",
            "AWS_SECRET_ACCESS_KEY" => "secret",
            "AWS_SESSION_TOKEN" => "token",
            "AWS_ROLE_ARN" => "role",
            _ => return None,
        };
        Some(value.to_owned())
    };
    let options = S3Options::new("things").with_variables(variables).unwrap();
    assert_eq!(options.endpoint.as_deref(), Some("http://127.0.0.1:1"));
    assert_eq!(options.region_name(), "eu-north-1");
    assert_eq!(options.access_key, Some(AccessKey::new("id", "secret").with_session_token("token")));
    assert_eq!(options.ambient(), [(AmazonS3ConfigKey::RoleArn, "role".to_owned())]);
    let set =
        S3Options::new("things").with_endpoint("http://127.0.0.1:2").with_region("us-west-2").with_access_key(AccessKey::new("a", "b"));
    let kept = set.clone().with_variables(variables).unwrap();
    assert_eq!((kept.endpoint, kept.region, kept.access_key), (set.endpoint, set.region, set.access_key));
    assert_eq!(S3Options::new("things").with_variables(NONE).unwrap(), S3Options::new("things"));
}

#[test]
fn half_an_access_key_is_refused_by_the_name_of_the_other_half() {
    let only = |wanted: &'static str| move |name: &str| (name == wanted).then(|| "sesame".to_owned());
    for (given, missing) in [("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")] {
        let error = S3Options::new("things").with_variables(only(given)).unwrap_err().to_string();
        assert!(error.contains(&format!("{missing}: it is not set")) && !error.contains("sesame"), "{error}");
    }
}

#[test]
fn debug_shows_no_credential() {
    let key = AccessKey::new("AKIASESAME", "sesame").with_session_token("sesame");
    let options = S3Options::new("things").with_access_key(key.clone()).with_sse_kms_key_id("arn:sesame");
    let shown = format!("{options:?} {key:?}").to_lowercase();
    assert!(shown.contains("s3://things") && !shown.contains("sesame"), "{shown}");
}

#[test]
fn a_location_can_be_opened_again() {
    for text in ["s3://things", "s3://things/a/b", "s3://things/a?endpoint=http://127.0.0.1:9000"] {
        assert_eq!(S3Options::from_url(text).unwrap().location(), text);
    }
}
