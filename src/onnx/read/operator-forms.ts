/**
 * What ONNX says of the form of its operators at opset 21 (of later ones, at the newest): the inputs, each by its
 * element type or a letter for one ("?" may be absent, "*" any number), the number of outputs, the types that
 * letters stand for, and the attributes ("!" must be there). SimplifiedLayerNormalization is ONNX Runtime's.
 */
export const forms = `
Abs(T) 1 where T=real
Acos(T) 1 where T=float
Acosh(T) 1 where T=float
Add(T, T) 1 where T=real
AffineGrid(T1, T2) 1 where T1=float T2=int64 with align_corners:i
And(T, T) 1 where T=bool
ArgMax(T) 1 where T=real with axis:i keepdims:i select_last_index:i
ArgMin(T) 1 where T=real with axis:i keepdims:i select_last_index:i
Asin(T) 1 where T=float
Asinh(T) 1 where T=float
Atan(T) 1 where T=float
Atanh(T) 1 where T=float
Attention(T1, T1, T2, U?, T1?, T2?, int64?) 4 where T1=float T2=float U=any with is_causal:i kv_num_heads:i left_window_size:i q_num_heads:i qk_matmul_output_mode:i right_window_size:i scale:f softcap:f softmax_precision:i
AveragePool(T) 1 where T=float with auto_pad:s ceil_mode:i count_include_pad:i dilations:is kernel_shape:is! pads:is strides:is
BatchNormalization(T, T1, T1, T2, T2) 3 where T=float T1=float T2=float with epsilon:f momentum:f training_mode:i
Bernoulli(T1) 1 where T1=float with dtype:i seed:f
BitCast(T1) 1 where T1=any with to:i!
BitShift(T, T) 1 where T=integer with direction:s!
BitwiseAnd(T, T) 1 where T=integer
BitwiseNot(T) 1 where T=integer
BitwiseOr(T, T) 1 where T=integer
BitwiseXor(T, T) 1 where T=integer
BlackmanWindow(T1) 1 where T1=index with output_datatype:i periodic:i
Cast(T1) 1 where T1=any with saturate:i to:i!
CastLike(T1, T2) 1 where T1=any T2=any with saturate:i
CausalConvWithState(T, T, T?, T?) 2 where T=float32 with activation:s
Ceil(T) 1 where T=float
Celu(T) 1 where T=float32 with alpha:f
CenterCropPad(T, Tind) 1 where T=any Tind=index with axes:is
Clip(T, T?, T?) 1 where T=real
Col2Im(T, int64, int64) 1 where T=any with dilations:is pads:is strides:is
Compress(T, T1) 1 where T=any T1=bool with axis:i
Concat(T*) 1 where T=any with axis:i!
ConcatFromSequence(S) 1 where S= with axis:i! new_axis:i
ConstantOfShape(T1) 1 where T1=int64 with value:t
Conv(T, T, T?) 1 where T=float with auto_pad:s dilations:is group:i kernel_shape:is pads:is strides:is
ConvInteger(T1, T2, T1?, T2?) 1 where T1=int8|uint8 T2=int8|uint8 with auto_pad:s dilations:is group:i kernel_shape:is pads:is strides:is
ConvTranspose(T, T, T?) 1 where T=float with auto_pad:s dilations:is group:i kernel_shape:is output_padding:is output_shape:is pads:is strides:is
Cos(T) 1 where T=float
Cosh(T) 1 where T=float
CumProd(T, T2) 1 where T=wide T2=index with exclusive:i reverse:i
CumSum(T, T2) 1 where T=wide T2=index with exclusive:i reverse:i
DFT(T1, T2?, int64?) 1 where T1=float T2=index with inverse:i onesided:i
DeformConv(T, T, T, T?, T?) 1 where T=float with dilations:is group:i kernel_shape:is offset_group:i pads:is strides:is
DepthToSpace(T) 1 where T=any with blocksize:i! mode:s
DequantizeLinear(T1, T2, T1?) 1 where T1=int16|int32|int8|uint16|uint8 T2=float32 with axis:i block_size:i
Det(T) 1 where T=float
Div(T, T) 1 where T=real
Dropout(T, T1?, T2?) 2 where T=float T1=float T2=bool with seed:i
DynamicQuantizeLinear(T1) 3 where T1=float32
Einsum(T*) 1 where T=real with equation:s!
Elu(T) 1 where T=float with alpha:f
Equal(T, T) 1 where T=any
Erf(T) 1 where T=float
Exp(T) 1 where T=float
Expand(T, int64) 1 where T=any
EyeLike(T1) 1 where T1=any with dtype:i k:i
Flatten(T) 1 where T=any with axis:i
Floor(T) 1 where T=float
GRU(T, T, T, T?, T1?, T?) 2 where T=float T1=int32 with activation_alpha:fs activation_beta:fs activations:ss clip:f direction:s hidden_size:i layout:i linear_before_reset:i
Gather(T, Tind) 1 where T=any Tind=index with axis:i
GatherElements(T, Tind) 1 where T=any Tind=index with axis:i
GatherND(T, int64) 1 where T=any with batch_dims:i
Gelu(T) 1 where T=float with approximate:s
Gemm(T, T, T?) 1 where T=wide with alpha:f beta:f transA:i transB:i
GlobalAveragePool(T) 1 where T=float
GlobalLpPool(T) 1 where T=float with p:i
GlobalMaxPool(T) 1 where T=float
Greater(T, T) 1 where T=real
GreaterOrEqual(T, T) 1 where T=real
GridSample(T1, T2) 1 where T1=any T2=float with align_corners:i mode:s padding_mode:s
GroupNormalization(T, T, T) 1 where T=float with epsilon:f num_groups:i! stash_type:i
HammingWindow(T1) 1 where T1=index with output_datatype:i periodic:i
HannWindow(T1) 1 where T1=index with output_datatype:i periodic:i
HardSigmoid(T) 1 where T=float with alpha:f beta:f
HardSwish(T) 1 where T=float
Hardmax(T) 1 where T=float with axis:i
Identity(V) 1 where V=any
ImageDecoder(T1) 1 where T1=uint8 with pixel_format:s
InstanceNormalization(T, T, T) 1 where T=float with epsilon:f
IsInf(T1) 1 where T1=float with detect_negative:i detect_positive:i
IsNaN(T1) 1 where T1=float
LRN(T) 1 where T=float with alpha:f beta:f bias:f size:i!
LSTM(T, T, T, T?, T1?, T?, T?, T?) 3 where T=float T1=int32 with activation_alpha:fs activation_beta:fs activations:ss clip:f direction:s hidden_size:i input_forget:i layout:i
LayerNormalization(T, T, T?) 3 where T=float with axis:i epsilon:f stash_type:i
LeakyRelu(T) 1 where T=float with alpha:f
Less(T, T) 1 where T=real
LessOrEqual(T, T) 1 where T=real
LinearAttention(T, T, T, S?, T?, T?) 2 where T=float32 S=float32 with chunk_size:i kv_num_heads:i! q_num_heads:i! scale:f update_rule:s
Log(T) 1 where T=float
LogSoftmax(T) 1 where T=float with axis:i
LpNormalization(T) 1 where T=float with axis:i p:i
LpPool(T) 1 where T=float with auto_pad:s ceil_mode:i dilations:is kernel_shape:is! p:i pads:is strides:is
MatMul(T, T) 1 where T=wide
MatMulInteger(T1, T2, T1?, T2?) 1 where T1=int8|uint8 T2=int8|uint8
Max(T*) 1 where T=real
MaxPool(T) 2 where T=float32|float64|int8|uint8 with auto_pad:s ceil_mode:i dilations:is kernel_shape:is! pads:is storage_order:i strides:is
MaxRoiPool(T, T) 1 where T=float with pooled_shape:is! spatial_scale:f
MaxUnpool(T1, T2, T2?) 1 where T1=float T2=int64 with kernel_shape:is! pads:is strides:is
Mean(T*) 1 where T=float
MeanVarianceNormalization(T) 1 where T=float with axes:is
MelWeightMatrix(T1, T1, T1, T2, T2) 1 where T1=index T2=float with output_datatype:i
Min(T*) 1 where T=real
Mish(T) 1 where T=float
Mod(T, T) 1 where T=real with fmod:i
Mul(T, T) 1 where T=real
Multinomial(T1) 1 where T1=float with dtype:i sample_size:i seed:f
Neg(T) 1 where T=signed
NegativeLogLikelihoodLoss(T, Tind, T?) 1 where T=float Tind=index with ignore_index:i reduction:s
NonMaxSuppression(float32, float32, int64?, float32?, float32?) 1 with center_point_box:i
NonZero(T) 1 where T=any
Not(T) 1 where T=bool
OneHot(T1, T2, T3) 1 where T1=real T2=real T3=any with axis:i
OptionalGetElement(O) 1 where O=any
OptionalHasElement(O?) 1 where O=any
Or(T, T) 1 where T=bool
PRelu(T, T) 1 where T=wide
Pad(T, int64, T?, Tind?) 1 where T=any Tind=index with mode:s
Pow(T, T1) 1 where T=float32|float64|int32|int64 T1=real
QLinearConv(T1, float32, T1, T2, float32, T2, float32, T3, T4?) 1 where T1=int8|uint8 T2=int8|uint8 T3=int8|uint8 T4=int32 with auto_pad:s dilations:is group:i kernel_shape:is pads:is strides:is
QLinearMatMul(T1, TS, T1, T2, TS, T2, TS, T3) 1 where TS=float32 T1=int8|uint8 T2=int8|uint8 T3=int8|uint8
QuantizeLinear(T1, T1, T2?) 1 where T1=float32|int32 T2=int16|int8|uint16|uint8 with axis:i block_size:i output_dtype:i saturate:i
RMSNormalization(T, V) 1 where T=float V=float with axis:i epsilon:f stash_type:i
RNN(T, T, T, T?, T1?, T?) 2 where T=float T1=int32 with activation_alpha:fs activation_beta:fs activations:ss clip:f direction:s hidden_size:i layout:i
RandomNormal() 1 with dtype:i mean:f scale:f seed:f shape:is!
RandomNormalLike(T1) 1 where T1=any with dtype:i mean:f scale:f seed:f
RandomUniform() 1 with dtype:i high:f low:f seed:f shape:is!
RandomUniformLike(T1) 1 where T1=any with dtype:i high:f low:f seed:f
Range(T, T, T) 1 where T=float32|float64|int16|int32|int64 with stash_type:i
Reciprocal(T) 1 where T=float
ReduceL1(T, int64?) 1 where T=wide with keepdims:i noop_with_empty_axes:i
ReduceL2(T, int64?) 1 where T=wide with keepdims:i noop_with_empty_axes:i
ReduceLogSum(T, int64?) 1 where T=wide with keepdims:i noop_with_empty_axes:i
ReduceLogSumExp(T, int64?) 1 where T=wide with keepdims:i noop_with_empty_axes:i
ReduceMax(T, int64?) 1 where T=bool|float32|float64|int32|int64|int8|uint32|uint64|uint8 with keepdims:i noop_with_empty_axes:i
ReduceMean(T, int64?) 1 where T=wide with keepdims:i noop_with_empty_axes:i
ReduceMin(T, int64?) 1 where T=bool|float32|float64|int32|int64|int8|uint32|uint64|uint8 with keepdims:i noop_with_empty_axes:i
ReduceProd(T, int64?) 1 where T=wide with keepdims:i noop_with_empty_axes:i
ReduceSum(T, int64?) 1 where T=wide with keepdims:i noop_with_empty_axes:i
ReduceSumSquare(T, int64?) 1 where T=wide with keepdims:i noop_with_empty_axes:i
RegexFullMatch(T1) 1 where T1= with pattern:s
Relu(T) 1 where T=signed
Reshape(T, int64) 1 where T=any with allowzero:i
Resize(T1, T2?, float32?, int64?) 1 where T1=any T2=float with antialias:i axes:is coordinate_transformation_mode:s cubic_coeff_a:f exclude_outside:i extrapolation_value:f keep_aspect_ratio_policy:s mode:s nearest_mode:s
ReverseSequence(T, int64) 1 where T=any with batch_axis:i time_axis:i
RoiAlign(T1, T1, T2) 1 where T1=float T2=int64 with coordinate_transformation_mode:s mode:s output_height:i output_width:i sampling_ratio:i spatial_scale:f
RotaryEmbedding(T, T, T, M?) 1 where T=float32 M=int64 with interleaved:i num_heads:i rotary_embedding_dim:i
Round(T) 1 where T=float
STFT(T1, T2, T1?, T2?) 1 where T1=float T2=index with onesided:i
ScatterElements(T, Tind, T) 1 where T=any Tind=index with axis:i reduction:s
ScatterND(T, int64, T) 1 where T=any with reduction:s
Selu(T) 1 where T=float with alpha:f gamma:f
SequenceAt(S, I) 1 where S= I=index
SequenceConstruct(T*) 1 where T=any
SequenceEmpty() 1 with dtype:i
SequenceErase(S, I?) 1 where S= I=index
SequenceInsert(S, T, I?) 1 where T=any S= I=index
SequenceLength(S) 1 where S=
Shape(T) 1 where T=any with end:i start:i
Shrink(T) 1 where T=real with bias:f lambd:f
Sigmoid(T) 1 where T=float
Sign(T) 1 where T=real
SimplifiedLayerNormalization(T, V) 2 where T=float V=float with axis:i epsilon:f stash_type:i
Sin(T) 1 where T=float
Sinh(T) 1 where T=float
Size(T) 1 where T=any
Slice(T, Tind, Tind, Tind?, Tind?) 1 where T=any Tind=index
Softmax(T) 1 where T=float with axis:i
SoftmaxCrossEntropyLoss(T, Tind, T?) 2 where T=float Tind=index with ignore_index:i reduction:s
Softplus(T) 1 where T=float
Softsign(T) 1 where T=float
SpaceToDepth(T) 1 where T=any with blocksize:i! mode:s
Split(T, int64?) * where T=any with axis:i num_outputs:i
SplitToSequence(T, I?) 1 where T=any I=index with axis:i keepdims:i
Sqrt(T) 1 where T=float
Squeeze(T, int64?) 1 where T=any
StringConcat(T, T) 1 where T=
StringSplit(T1) 2 where T1= with delimiter:s maxsplit:i
Sub(T, T) 1 where T=real
Sum(T*) 1 where T=float
SwiGLU(T, T) 1 where T=float with alpha:f
Swish(T) 1 where T=float with alpha:f
Tan(T) 1 where T=float
Tanh(T) 1 where T=float
TensorScatter(T, T, int64?) 1 where T=any with axis:i mode:s
TfIdfVectorizer(T) 1 where T=index with max_gram_length:i! max_skip_count:i! min_gram_length:i! mode:s! ngram_counts:is! ngram_indexes:is! pool_int64s:is pool_strings:ss weights:fs
ThresholdedRelu(T) 1 where T=float with alpha:f
Tile(T, T1) 1 where T=any T1=int64
TopK(T, int64) 2 where T=real with axis:i largest:i sorted:i
Transpose(T) 1 where T=any with perm:is
Trilu(T, int64?) 1 where T=any with upper:i
Unique(T) 4 where T=any with axis:i sorted:i
Unsqueeze(T, int64) 1 where T=any
Where(B, T, T) 1 where B=bool T=any
Xor(T, T) 1 where T=bool
`;
