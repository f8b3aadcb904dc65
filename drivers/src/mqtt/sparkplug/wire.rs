//! The parts of Sparkplug B's protobuf payload that readings are made of. Fields that are not here (data
//! sets, templates, files, bodies) are passed over by the decoder.

/// `org.eclipse.tahu.protobuf.Payload`
#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::mqtt) struct Payload {
    #[prost(uint64, optional, tag = "1")]
    pub(in crate::mqtt) timestamp: Option<u64>,
    #[prost(message, repeated, tag = "2")]
    pub(in crate::mqtt) metrics: Vec<Metric>,
    #[prost(uint64, optional, tag = "3")]
    pub(in crate::mqtt) seq: Option<u64>,
    #[prost(string, optional, tag = "4")]
    pub(in crate::mqtt) uuid: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::mqtt) struct Metric {
    #[prost(string, optional, tag = "1")]
    pub(in crate::mqtt) name: Option<String>,
    #[prost(uint64, optional, tag = "2")]
    pub(in crate::mqtt) alias: Option<u64>,
    #[prost(uint64, optional, tag = "3")]
    pub(in crate::mqtt) timestamp: Option<u64>,
    #[prost(uint32, optional, tag = "4")]
    pub(in crate::mqtt) datatype: Option<u32>,
    #[prost(bool, optional, tag = "5")]
    pub(in crate::mqtt) is_historical: Option<bool>,
    #[prost(bool, optional, tag = "7")]
    pub(in crate::mqtt) is_null: Option<bool>,
    #[prost(message, optional, tag = "9")]
    pub(in crate::mqtt) properties: Option<PropertySet>,
    #[prost(oneof = "Value", tags = "10, 11, 12, 13, 14, 15")]
    pub(in crate::mqtt) value: Option<Value>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(in crate::mqtt) enum Value {
    #[prost(uint32, tag = "10")]
    Int(u32),
    #[prost(uint64, tag = "11")]
    Long(u64),
    #[prost(float, tag = "12")]
    Float(f32),
    #[prost(double, tag = "13")]
    Double(f64),
    #[prost(bool, tag = "14")]
    Boolean(bool),
    #[prost(string, tag = "15")]
    String(String),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::mqtt) struct PropertySet {
    #[prost(string, repeated, tag = "1")]
    pub(in crate::mqtt) keys: Vec<String>,
    #[prost(message, repeated, tag = "2")]
    pub(in crate::mqtt) values: Vec<PropertyValue>,
}

/// Of all that a property may hold, the integers: the quality is one.
#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::mqtt) struct PropertyValue {
    #[prost(uint32, optional, tag = "3")]
    pub(in crate::mqtt) int_value: Option<u32>,
    #[prost(uint64, optional, tag = "4")]
    pub(in crate::mqtt) long_value: Option<u64>,
}

/// The types whose values are integers on the wire; the wire does not say which.
pub(in crate::mqtt) mod datatype {
    pub(in crate::mqtt) const INT8: u32 = 1;
    pub(in crate::mqtt) const INT16: u32 = 2;
    pub(in crate::mqtt) const INT32: u32 = 3;
    pub(in crate::mqtt) const INT64: u32 = 4;
    pub(in crate::mqtt) const UINT8: u32 = 5;
    pub(in crate::mqtt) const UINT16: u32 = 6;
    pub(in crate::mqtt) const UINT32: u32 = 7;
    pub(in crate::mqtt) const UINT64: u32 = 8;
    pub(in crate::mqtt) const DATE_TIME: u32 = 13;
}
