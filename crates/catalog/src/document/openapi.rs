//! OpenAPI document -> the names in it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::surface::{DocumentError, Operation, OperationName, Surface, SurfaceMember};

const METHODS: [&str; 8] = ["get", "post", "put", "patch", "delete", "head", "options", "trace"];
const EVENT_STREAM: &str = "text/event-stream";

impl Surface {
    /// # Errors
    /// When `document` is not OpenAPI 3, or has an unresolved reference.
    pub fn from_document(document: &Value) -> Result<Self, DocumentError> {
        let version = document.get("openapi").and_then(Value::as_str);
        if !version.is_some_and(|version| version.starts_with("3.")) {
            return Err(DocumentError::NotOpenApi("`openapi` version that starts with `3.`"));
        }
        let paths = document.get("paths").and_then(Value::as_object);
        let paths = paths.ok_or(DocumentError::NotOpenApi("`paths`"))?;
        let parser = DocumentParser { document };
        let mut operations = BTreeMap::new();
        for (path, item) in paths {
            let item = parser.resolved(item)?;
            for method in METHODS {
                if let Some(declared) = item.get(method) {
                    let name = OperationName { path: path.clone(), method: method.to_uppercase() };
                    let operation = parser.operation(&name, item, declared)?;
                    operations.insert(name, operation);
                }
            }
        }
        Ok(Self { operations })
    }
}

struct DocumentParser<'a> {
    document: &'a Value,
}

/// The references that lead to the current schema, so that a recursive schema ends.
type RefPath<'a> = Vec<&'a str>;
type Members = BTreeMap<String, SurfaceMember>;

impl<'a> DocumentParser<'a> {
    fn operation(
        &self,
        name: &OperationName,
        item: &'a Value,
        declared: &'a Value,
    ) -> Result<Operation, DocumentError> {
        let deprecated = declared.get("deprecated").and_then(Value::as_bool).unwrap_or_default();
        if !name.may_read() {
            return Ok(Operation { deprecated, ..Operation::default() });
        }
        let mut parameters = Members::new();
        for list in [item, declared].into_iter().filter_map(|holder| holder.get("parameters")?.as_array()) {
            for parameter in list {
                self.parameter(self.resolved(parameter)?, &mut parameters)?;
            }
        }
        if let Some(body) = declared.get("requestBody") {
            for schema in self.contents(body)?.into_iter().map(|(_, schema)| schema) {
                let mut members = Members::new();
                self.walk(schema, "", &mut RefPath::new(), &mut members)?;
                for (name, member) in members {
                    parameters.entry(format!("body {name}")).or_default().merge(member);
                }
                for name in self.required_members(schema)? {
                    // A document may require a member that it does not declare.
                    if let Some(member) = parameters.get_mut(&format!("body {name}")) {
                        member.required = true;
                    }
                }
            }
        }
        Ok(Operation { deprecated, parameters, response: self.response(declared)? })
    }

    fn parameter(&self, parameter: &'a Value, parameters: &mut Members) -> Result<(), DocumentError> {
        let text = |key: &str| parameter.get(key).and_then(Value::as_str).unwrap_or_default();
        let (place, name) = (text("in"), text("name"));
        if !["query", "path"].contains(&place) {
            return Ok(());
        }
        let mut members = Members::new();
        let any = Value::Object(Map::new());
        let schema = parameter.get("schema").unwrap_or(&any);
        self.walk(schema, name, &mut RefPath::new(), &mut members)?;
        let required = place == "query" && parameter.get("required").and_then(Value::as_bool).unwrap_or_default();
        members.entry(name.to_owned()).or_default().required = required;
        parameters.extend(members.into_iter().map(|(name, member)| (format!("{place} {name}"), member)));
        Ok(())
    }

    fn response(&self, declared: &'a Value) -> Result<Members, DocumentError> {
        let mut members = Members::new();
        let responses = declared.get("responses").and_then(Value::as_object);
        for (_, response) in responses.into_iter().flatten().filter(|(status, _)| status.starts_with('2')) {
            for (media, schema) in self.contents(response)? {
                if media != EVENT_STREAM {
                    self.walk(schema, "", &mut RefPath::new(), &mut members)?;
                    continue;
                }
                // The first alternative of an event stream is the summary, the others are rows.
                let events = self.resolved(schema)?.get("oneOf").and_then(Value::as_array);
                let alternatives = events.map_or_else(
                    || vec![("event", schema)],
                    |events| {
                        let name = |index| if index == 0 { "summary" } else { "event" };
                        events.iter().enumerate().map(|(index, event)| (name(index), event)).collect()
                    },
                );
                for (name, event) in alternatives {
                    self.walk(event, name, &mut RefPath::new(), &mut members)?;
                }
            }
        }
        Ok(members)
    }

    /// The schemas of a body or a response, by media type.
    fn contents(&self, holder: &'a Value) -> Result<Vec<(&'a str, &'a Value)>, DocumentError> {
        let contents = self.resolved(holder)?.get("content").and_then(Value::as_object);
        let schemas = contents.into_iter().flatten();
        Ok(schemas.filter_map(|(media, content)| Some((media.as_str(), content.get("schema")?))).collect())
    }

    fn required_members(&self, schema: &'a Value) -> Result<BTreeSet<String>, DocumentError> {
        let schema = self.resolved(schema)?;
        let names = |schema: &Value| -> Vec<String> {
            let names = schema.get("required").and_then(Value::as_array);
            names.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
        };
        let mut all: BTreeSet<String> = names(schema).into_iter().collect();
        for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            all.extend(names(self.resolved(part)?));
        }
        Ok(all)
    }

    /// Adds the member at `path` and those below it.
    fn walk(
        &self,
        schema: &'a Value,
        path: &str,
        refs: &mut RefPath<'a>,
        found: &mut Members,
    ) -> Result<(), DocumentError> {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let target = self.target(reference)?;
            if refs.contains(&reference) {
                // Recursive: the members are already listed further up.
                self.add(path, own_member(target), found);
                return Ok(());
            }
            refs.push(reference);
            self.walk(target, path, refs, found)?;
            refs.pop();
            return Ok(());
        }
        let member = own_member(schema);
        for alternative in ["allOf", "anyOf", "oneOf"].iter().filter_map(|key| schema.get(key)?.as_array()).flatten() {
            self.walk(alternative, path, refs, found)?;
        }
        self.add(path, member, found);
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            self.walk(property, &below, refs, found)?;
        }
        if let Some(items) = schema.get("items") {
            self.walk(items, &format!("{path}[]"), refs, found)?;
        }
        match schema.get("additionalProperties") {
            Some(Value::Object(values)) if !values.is_empty() => {
                let below = if path.is_empty() { "*".to_owned() } else { format!("{path}.*") };
                self.walk(&schema["additionalProperties"], &below, refs, found)
            }
            _ => Ok(()),
        }
    }

    fn add(&self, path: &str, member: Option<SurfaceMember>, found: &mut Members) {
        if let (false, Some(member)) = (path.is_empty(), member) {
            found.entry(path.to_owned()).or_default().merge(member);
        }
    }

    /// The target of `value` if it is a reference, else `value`.
    fn resolved(&self, value: &'a Value) -> Result<&'a Value, DocumentError> {
        let (mut value, mut refs) = (value, RefPath::new());
        while let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            if refs.contains(&reference) {
                return Err(DocumentError::Reference(reference.to_owned()));
            }
            refs.push(reference);
            value = self.target(reference)?;
        }
        Ok(value)
    }

    fn target(&self, reference: &str) -> Result<&'a Value, DocumentError> {
        let unresolved = || DocumentError::Reference(reference.to_owned());
        self.document.pointer(reference.strip_prefix('#').ok_or_else(unresolved)?).ok_or_else(unresolved)
    }
}

/// The member that a schema declares itself; none where it only allows null, or leaves the type to alternatives.
fn own_member(schema: &Value) -> Option<SurfaceMember> {
    let constant = schema.get("const").into_iter();
    let listed = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    let values: Vec<&Value> = constant.chain(listed).filter(|value| !value.is_null()).collect();
    let named: Vec<&str> = match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ if schema.get("properties").is_some() => vec!["object"],
        _ if schema.get("items").is_some() => vec!["array"],
        _ if !values.is_empty() => values.iter().map(|value| type_of(value)).collect(),
        _ if ["allOf", "anyOf", "oneOf"].iter().any(|key| schema.get(key).is_some()) => return None,
        _ => vec!["any"],
    };
    let types: BTreeSet<String> = named.into_iter().filter(|name| *name != "null").map(str::to_owned).collect();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let values = values.into_iter().map(text).collect();
    (!types.is_empty()).then_some(SurfaceMember { required: false, types, values })
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn members(schema: Value, components: Value) -> BTreeMap<String, String> {
        let document = json!({
            "openapi": "3.1.0",
            "components": { "schemas": components },
            "paths": { "/v1/things": { "get": { "responses": { "200": { "content": { "application/json": {
                "schema": schema
            } } } } } } }
        });
        let surface = Surface::from_document(&document).unwrap();
        let operation = surface.operations.into_values().next().unwrap();
        let text = SurfaceMember::to_string;
        operation.response.iter().map(|(path, member)| (path.clone(), text(member))).collect()
    }

    #[test]
    fn alternatives_and_references_are_merged() {
        let schema = json!({ "anyOf": [
            { "type": "array", "items": { "$ref": "#/components/schemas/Row" } },
            { "type": "object", "properties": { "data": { "allOf": [{ "$ref": "#/components/schemas/Row" }] } } },
        ] });
        let row = json!({ "Row": { "properties": {
            "id": { "type": ["string", "null"] },
            "size": { "anyOf": [{ "type": "integer", "nullable": true }, { "enum": ["small", "large"] }] },
        } } });
        let found = members(schema, row);
        assert_eq!(found["[].id"], "string");
        assert_eq!(found["data.size"], "integer or string: large | small");
        assert_eq!(found["data"], "object");
    }

    #[test]
    fn recursive_schema_ends() {
        let point = json!({ "Point": { "type": "object", "properties": {
            "date": { "type": "string" },
            "before": { "anyOf": [{ "$ref": "#/components/schemas/Point" }, { "type": "null" }] },
        } } });
        let found = members(json!({ "$ref": "#/components/schemas/Point" }), point);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["before", "date"]);
        assert_eq!(found["before"], "object");
    }

    #[test]
    fn invalid_document_is_rejected_with_a_reason() {
        let error = |document: Value| Surface::from_document(&document).unwrap_err().to_string();
        assert!(error(json!([1])).contains("no `openapi`"));
        assert!(error(json!({ "swagger": "2.0", "paths": {} })).contains("no `openapi`"));
        assert!(error(json!({ "openapi": "3.1.0" })).contains("no `paths`"));
        let broken = json!({ "openapi": "3.1.0", "paths": { "/a": { "get": { "responses": { "200": {
            "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Gone" } } }
        } } } } } });
        assert_eq!(error(broken), "unresolved reference `#/components/schemas/Gone`");
    }
}
