//! `/openapi.json` tells the truth: every documented path, member and answer is tried.
//! Must not list anything itself that the document should.

use serde_json::{Value, json};

use crate::support::{NOVA, ReadJson, TestProxy, header};

async fn document(proxy: &TestProxy) -> Value {
    proxy.get("/openapi.json").await.json().await.unwrap()
}

/// Every member that `value` has is documented, and every one that the schema requires is there.
fn assert_fits(document: &Value, schema: &Value, value: &Value, path: &str) {
    let schema = match schema["$ref"].as_str() {
        Some(name) => document.pointer(name.trim_start_matches('#')).unwrap(),
        None => schema,
    };
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let known = &schema["properties"][name];
                if schema["additionalProperties"] == true {
                    continue;
                }
                assert!(!known.is_null(), "{path}.{name} is not documented");
                assert_fits(document, known, member, &format!("{path}.{name}"));
            }
            for name in schema["required"].as_array().into_iter().flatten() {
                assert!(members.contains_key(name.as_str().unwrap()), "{path} lacks {name}");
            }
        }
        Value::Array(items) => items.iter().for_each(|item| assert_fits(document, &schema["items"], item, path)),
        Value::String(_) => assert!(schema["type"].to_string().contains("string"), "{path}"),
        Value::Null => assert!(schema["type"].to_string().contains("null"), "{path}"),
        Value::Number(_) => {
            assert!(["integer", "number"].iter().any(|t| schema["type"].to_string().contains(t)), "{path}");
        }
        Value::Bool(_) => assert_eq!(schema["type"], "boolean", "{path}"),
    }
}

/// A body with what an operation requires, by the examples of its schema.
fn example(document: &Value, operation: &Value) -> Value {
    let schema = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str().unwrap();
    let schema = document.pointer(schema.trim_start_matches('#')).unwrap();
    let required = schema["required"].as_array().unwrap();
    let body: serde_json::Map<_, _> = required
        .iter()
        .map(|name| {
            (name.as_str().unwrap().to_owned(), schema["properties"][name.as_str().unwrap()]["example"].clone())
        })
        .collect();
    let mut file = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(320, 320).write_to(&mut file, image::ImageFormat::Png).unwrap();
    let picture = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, file.into_inner());
    let text = Value::Object(body).to_string().replace(";base64,...", &format!(";base64,{picture}"));
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn every_documented_member_is_honoured() {
    let proxy = TestProxy::with(NOVA).start().await;
    let document = document(&proxy).await;
    let members = document["components"]["schemas"]["ImageRequest"]["properties"].as_object().unwrap();
    assert!(members.len() > 15);
    for (name, schema) in members {
        proxy.emulator.script([Some("tiny".parse().unwrap())]);
        let mut body = json!({"prompt": "a cat"});
        body[name] = schema["example"].clone();
        let response = proxy.generate(body).await;
        assert_eq!(response.status(), 200, "{name}");
        assert_eq!(header(response.headers(), "x-easel-ignored"), "", "{name} is documented, so it is not ignored");
    }
}

#[tokio::test]
async fn every_documented_path_answers_as_it_says() {
    let data = tempfile::TempDir::new().unwrap();
    let proxy = TestProxy::with(NOVA).data_dir(data.path()).start().await;
    let document = document(&proxy).await;
    let id = painted_for_later(&proxy).await;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let url = path.replace("{model}", "nova-canvas").replace("{id}", &id);
            let response = match &**method {
                "post" => {
                    proxy.emulator.script([Some("tiny".parse().unwrap())]);
                    proxy.post(&url, example(&document, operation).to_string()).await
                }
                "delete" => proxy.client.delete(format!("{}{url}", proxy.url)).send().await.unwrap(),
                _ => proxy.get(&url).await,
            };
            assert_eq!(response.status(), 200, "{method} {path}");
            for (name, header_object) in operation["responses"]["200"]["headers"].as_object().into_iter().flatten() {
                let known = document.pointer(header_object["$ref"].as_str().unwrap().trim_start_matches('#')).unwrap();
                if known["required"] == false {
                    continue;
                }
                assert_ne!(header(response.headers(), name), "", "{name} of {path}");
            }
            let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
            if !schema.is_null() {
                assert_fits(&document, schema, &response.json().await.unwrap(), path);
            }
        }
    }
    let error: Value = proxy.post("/v1/images/generations", "{}").await.json().await.unwrap();
    assert_fits(&document, &document["components"]["schemas"]["Error"], &error, "error");
    let page = proxy.get("/docs").await.text().await.unwrap();
    assert!(page.contains("POST /v1/images/generations") && page.contains("negative_prompt"));
}

/// The id of a request whose reply waits.
async fn painted_for_later(proxy: &TestProxy) -> String {
    proxy.emulator.script([Some("tiny".parse().unwrap())]);
    let request = proxy.client.post(format!("{}/v1/images/generations", proxy.url)).header("prefer", "respond-async");
    let response = request.body(r#"{"prompt": "a cat"}"#).send().await.unwrap();
    let address = header(response.headers(), "location").to_owned();
    while proxy.client.get(&address).send().await.unwrap().status() == 202 {
        tokio::task::yield_now().await;
    }
    address.rsplit('/').next().unwrap().to_owned()
}

#[tokio::test]
async fn slashes_at_the_end_and_a_root_path() {
    let proxy = TestProxy::with(NOVA).root_path("/easel").script(["tiny"; 4]).start().await;
    for path in [
        "/v1/images/generations/",
        "/easel/v1/images/generations",
        "/easel/openai/deployments/nova-canvas/images/generations/",
    ] {
        assert_eq!(proxy.post(path, r#"{"prompt":"a cat"}"#).await.status(), 200, "{path}");
    }
    for path in ["/v1/models/", "/easel/v1/models", "/easel/health/liveliness/", "/v1/models/nova-canvas/"] {
        assert_eq!(proxy.get(path).await.status(), 200, "{path}");
    }
}
