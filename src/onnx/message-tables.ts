/**
 * The fields of each message: `number name type`. The type is a scalar's (string if omitted) or a message's. `*` marks
 * a list, `+` a packed list; `a.b` is the field b of the choice a. `kind` and `place` are enumerations, whose unknown
 * members are dropped.
 */
export const tables = {
  ModelProto:
    "1 irVersion int64,8 opsetImport OperatorSetIdProto*,2 producerName,3 producerVersion,4 domain,5 modelVersion int64,6 docString,7 graph GraphProto,14 metadataProps StringStringEntryProto*,20 trainingInfo TrainingInfoProto*,25 functions FunctionProto*,26 configuration DeviceConfigurationProto*",
  GraphProto:
    "1 node NodeProto*,2 name,5 initializer TensorProto*,15 sparseInitializer SparseTensorProto*,10 docString,11 input ValueInfoProto*,12 output ValueInfoProto*,13 valueInfo ValueInfoProto*,14 quantizationAnnotation TensorAnnotation*,16 metadataProps StringStringEntryProto*",
  NodeProto:
    "1 input *,2 output *,3 name,4 opType,7 domain,8 overload,5 attribute AttributeProto*,6 docString,9 metadataProps StringStringEntryProto*,10 deviceConfigurations NodeDeviceConfigurationProto*",
  AttributeProto:
    "1 name,21 refAttrName,13 docString,20 type kind,2 f float,3 i int64,4 s bytes,5 t TensorProto,6 g GraphProto,22 sparseTensor SparseTensorProto,14 tp TypeProto,7 floats float*,8 ints int64*,9 strings bytes*,10 tensors TensorProto*,11 graphs GraphProto*,23 sparseTensors SparseTensorProto*,15 typeProtos TypeProto*",
  TensorProto:
    "1 dims int64*,2 dataType int32,3 segment TensorProto.Segment,4 floatData float+,5 int32Data int32+,6 stringData bytes*,7 int64Data int64+,8 name,12 docString,9 rawData bytes,13 externalData StringStringEntryProto*,14 dataLocation place,10 doubleData double+,11 uint64Data uint64+,16 metadataProps StringStringEntryProto*",
  "TensorProto.Segment": "1 begin int64,2 end int64",
  SparseTensorProto: "1 values TensorProto,2 indices TensorProto,3 dims int64*",
  ValueInfoProto: "1 name,2 type TypeProto,3 docString,4 metadataProps StringStringEntryProto*",
  TypeProto:
    "1 value.tensorType TypeProto.Tensor,4 value.sequenceType TypeProto.Sequence,5 value.mapType TypeProto.Map,9 value.optionalType TypeProto.Optional,8 value.sparseTensorType TypeProto.Tensor,6 denotation",
  "TypeProto.Tensor": "1 elemType int32,2 shape TensorShapeProto",
  "TypeProto.Sequence": "1 elemType TypeProto",
  "TypeProto.Map": "1 keyType int32,2 valueType TypeProto",
  "TypeProto.Optional": "1 elemType TypeProto",
  TensorShapeProto: "1 dim TensorShapeProto.Dimension*",
  "TensorShapeProto.Dimension": "1 value.dimValue int64,2 value.dimParam,3 denotation",
  StringStringEntryProto: "1 key,2 value",
  OperatorSetIdProto: "1 domain,2 version int64",
  FunctionProto:
    "1 name,4 input *,5 output *,6 attribute *,11 attributeProto AttributeProto*,7 node NodeProto*,8 docString,9 opsetImport OperatorSetIdProto*,10 domain,13 overload,12 valueInfo ValueInfoProto*,14 metadataProps StringStringEntryProto*",
  TensorAnnotation: "1 tensorName,2 quantParameterTensorNames StringStringEntryProto*",
  TrainingInfoProto:
    "1 initialization GraphProto,2 algorithm GraphProto,3 initializationBinding StringStringEntryProto*,4 updateBinding StringStringEntryProto*",
  DeviceConfigurationProto: "1 name,2 numDevices int32,3 device *",
  NodeDeviceConfigurationProto: "1 configurationId,2 shardingSpec ShardingSpecProto*,3 pipelineStage int32",
  ShardingSpecProto:
    "1 tensorName,2 device int64*,3 indexToDeviceGroupMap IntIntListEntryProto*,4 shardedDim ShardedDimProto*",
  IntIntListEntryProto: "1 key int64,2 value int64*",
  ShardedDimProto: "1 axis int64,2 simpleSharding SimpleShardedDimProto*",
  SimpleShardedDimProto: "1 dim.dimValue int64,2 dim.dimParam,3 numShards int64",
};
