//! What breaks those who rely on an earlier form of protobuf files.

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto,
    FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, ServiceDescriptorProto,
};

/// Everything in `new` that breaks what relies on `old`, in words.
pub(crate) fn breaking(old: &FileDescriptorSet, new: &FileDescriptorSet) -> Vec<String> {
    let mut found = Found::default();
    for file in &old.file {
        match new.file.iter().find(|other| other.name() == file.name()) {
            Some(other) => found.file(file, other),
            None => found.say(format!("{} is gone", file.name())),
        }
    }
    found.lines
}

#[derive(Default)]
struct Found {
    lines: Vec<String>,
    file: String,
}

impl Found {
    fn say(&mut self, line: String) {
        self.lines.push(line);
    }

    fn gone(&mut self, name: &str) {
        let line = format!("{name} is gone from {}", self.file);
        self.say(line);
    }

    /// Say so when something is no longer what it was.
    fn compare(&mut self, place: &str, what: &str, old: &str, new: &str) {
        if old != new {
            self.say(format!("{place}: {what} was {old} and is {new}"));
        }
    }

    fn file(&mut self, old: &FileDescriptorProto, new: &FileDescriptorProto) {
        self.file = old.name().to_owned();
        self.compare(old.name(), "package", old.package(), new.package());
        self.compare(old.name(), "syntax", old.syntax(), new.syntax());
        self.messages(old.package(), &old.message_type, &new.message_type);
        self.enums(old.package(), &old.enum_type, &new.enum_type);
        for service in &old.service {
            let name = format!("{}.{}", old.package(), service.name());
            match new.service.iter().find(|other| other.name() == service.name()) {
                Some(other) => self.service(&name, service, other),
                None => self.gone(&name),
            }
        }
    }

    fn messages(&mut self, scope: &str, old: &[DescriptorProto], new: &[DescriptorProto]) {
        for message in old {
            let name = format!("{scope}.{}", message.name());
            match new.iter().find(|other| other.name() == message.name()) {
                Some(other) => self.message(&name, message, other),
                None => self.gone(&name),
            }
        }
    }

    fn message(&mut self, name: &str, old: &DescriptorProto, new: &DescriptorProto) {
        // The end of a range of fields is not in it.
        let ranges = |message: &DescriptorProto| -> Vec<(i32, i32)> {
            message.reserved_range.iter().map(|range| (range.start(), range.end() - 1)).collect()
        };
        let reserved = Reserved { ranges: ranges(new), names: &new.reserved_name };
        for field in &old.field {
            let place = format!("{name}.{} ({})", field.name(), field.number());
            match new.field.iter().find(|other| other.number() == field.number()) {
                Some(other) => self.field(&place, (old, field), (new, other)),
                None => self.removed(&place, field.number(), field.name(), &reserved),
            }
        }
        self.reservations(name, &ranges(old), &old.reserved_name, &reserved);
        self.messages(name, &old.nested_type, &new.nested_type);
        self.enums(name, &old.enum_type, &new.enum_type);
    }

    fn field(
        &mut self,
        place: &str,
        (old_message, old): (&DescriptorProto, &FieldDescriptorProto),
        (new_message, new): (&DescriptorProto, &FieldDescriptorProto),
    ) {
        self.compare(place, "name", old.name(), new.name());
        self.compare(place, "type", &type_of(old), &type_of(new));
        self.compare(place, "label", label_of(old), label_of(new));
        self.compare(place, "presence", presence_of(old), presence_of(new));
        self.compare(place, "oneof", oneof_of(old_message, old), oneof_of(new_message, new));
        self.compare(place, "JSON name", old.json_name(), new.json_name());
        self.compare(place, "packing", packing_of(old), packing_of(new));
    }

    fn enums(&mut self, scope: &str, old: &[EnumDescriptorProto], new: &[EnumDescriptorProto]) {
        for kind in old {
            let name = format!("{scope}.{}", kind.name());
            match new.iter().find(|other| other.name() == kind.name()) {
                Some(other) => self.values(&name, kind, other),
                None => self.gone(&name),
            }
        }
    }

    fn values(&mut self, name: &str, old: &EnumDescriptorProto, new: &EnumDescriptorProto) {
        // The end of a range of values is in it.
        let ranges = |kind: &EnumDescriptorProto| -> Vec<(i32, i32)> {
            kind.reserved_range.iter().map(|range| (range.start(), range.end())).collect()
        };
        let reserved = Reserved { ranges: ranges(new), names: &new.reserved_name };
        for value in &old.value {
            let names: Vec<&str> = new
                .value
                .iter()
                .filter(|other| other.number() == value.number())
                .map(EnumValueDescriptorProto::name)
                .collect();
            if names.is_empty() {
                let place = format!("{name}: value {} ({})", value.name(), value.number());
                self.removed(&place, value.number(), value.name(), &reserved);
            } else if !names.contains(&value.name()) {
                self.compare(name, &format!("value {}", value.number()), value.name(), names[0]);
            }
        }
        self.reservations(name, &ranges(old), &old.reserved_name, &reserved);
    }

    fn removed(&mut self, place: &str, number: i32, name: &str, reserved: &Reserved<'_>) {
        if !reserved.has_all(number, number) {
            self.say(format!("{place} is gone: its number is not reserved"));
        }
        if !reserved.names.iter().any(|reserved| reserved == name) {
            self.say(format!("{place} is gone: its name is not reserved"));
        }
    }

    fn reservations(&mut self, name: &str, ranges: &[(i32, i32)], names: &[String], new: &Reserved<'_>) {
        for &(first, last) in ranges.iter().filter(|&&(first, last)| !new.has_all(first, last)) {
            self.say(format!("{name}: reserved {first} to {last} is no more"));
        }
        for gone in names.iter().filter(|gone| !new.names.contains(gone)) {
            self.say(format!("{name}: reserved \"{gone}\" is no more"));
        }
    }

    fn service(&mut self, name: &str, old: &ServiceDescriptorProto, new: &ServiceDescriptorProto) {
        for method in &old.method {
            let place = format!("{name}.{}", method.name());
            match new.method.iter().find(|other| other.name() == method.name()) {
                Some(other) => self.method(&place, method, other),
                None => self.gone(&place),
            }
        }
    }

    fn method(&mut self, place: &str, old: &MethodDescriptorProto, new: &MethodDescriptorProto) {
        self.compare(place, "request", old.input_type(), new.input_type());
        self.compare(place, "answer", old.output_type(), new.output_type());
        let streams =
            |method: &MethodDescriptorProto| match (method.client_streaming(), method.server_streaming()) {
                (false, false) => "none",
                (true, false) => "of requests",
                (false, true) => "of answers",
                (true, true) => "of both",
            };
        self.compare(place, "streaming", streams(old), streams(new));
        let idempotency = |method: &MethodDescriptorProto| {
            method.options.as_ref().map_or(0, |options| options.idempotency_level.unwrap_or(0)).to_string()
        };
        self.compare(place, "idempotency", &idempotency(old), &idempotency(new));
    }
}

/// Numbers and names that may not be used again.
struct Reserved<'a> {
    /// First and last of each range.
    ranges: Vec<(i32, i32)>,
    names: &'a [String],
}

impl Reserved<'_> {
    /// Whether all numbers from the first to the last are.
    fn has_all(&self, first: i32, last: i32) -> bool {
        let mut next = i64::from(first);
        let mut ranges = self.ranges.clone();
        ranges.sort_unstable();
        for (start, end) in ranges {
            if i64::from(start) <= next {
                next = next.max(i64::from(end) + 1);
            }
        }
        next > i64::from(last)
    }
}

fn type_of(field: &FieldDescriptorProto) -> String {
    let kind = Type::try_from(field.r#type.unwrap_or_default()).map_or("", |kind| kind.as_str_name());
    format!("{kind} {}", field.type_name()).trim_end().to_owned()
}

fn label_of(field: &FieldDescriptorProto) -> &'static str {
    Label::try_from(field.label.unwrap_or_default()).map_or("", |label| label.as_str_name())
}

fn presence_of(field: &FieldDescriptorProto) -> &'static str {
    if field.proto3_optional() { "optional" } else { "implicit" }
}

fn oneof_of<'a>(message: &'a DescriptorProto, field: &FieldDescriptorProto) -> &'a str {
    // The oneof of an optional field has a name that nobody has given.
    let index = field.oneof_index.filter(|_| !field.proto3_optional());
    index
        .and_then(|index| message.oneof_decl.get(usize::try_from(index).ok()?))
        .map_or("none", |oneof| oneof.name())
}

fn packing_of(field: &FieldDescriptorProto) -> &'static str {
    match field.options.as_ref().and_then(|options| options.packed) {
        None => "as the syntax says",
        Some(true) => "packed",
        Some(false) => "not packed",
    }
}
