/** The forms of operators that few models use, as `operator-forms.ts` writes them. SimplifiedLayerNormalization is ONNX Runtime's. */
export const rareOperatorForms = `
Acos(T) 1 where T=float
Acosh(T) 1 where T=float
AffineGrid(T1, T2) 1 where T1=float T2=int64 with align_corners:i
Asin(T) 1 where T=float
Asinh(T) 1 where T=float
Atan(T) 1 where T=float
Atanh(T) 1 where T=float
Attention(T1, T1, T2, U?, T1?, T2?, int64?) 4 where T1=float T2=float U=any with is_causal:i kv_num_heads:i left_window_size:i q_num_heads:i qk_matmul_output_mode:i right_window_size:i scale:f softcap:f softmax_precision:i
Bernoulli(T1) 1 where T1=float with dtype:i seed:f
BitCast(T1) 1 where T1=any with to:i!
BitShift(T, T) 1 where T=integer with direction:s!
BitwiseAnd(T, T) 1 where T=integer
BitwiseNot(T) 1 where T=integer
BitwiseOr(T, T) 1 where T=integer
BitwiseXor(T, T) 1 where T=integer
BlackmanWindow(T1) 1 where T1=index with output_datatype:i periodic:i
CausalConvWithState(T, T, T?, T?) 2 where T=float32 with activation:s
CenterCropPad(T, Tind) 1 where T=any Tind=index with axes:is
Col2Im(T, int64, int64) 1 where T=any with dilations:is pads:is strides:is
Compress(T, T1) 1 where T=any T1=bool with axis:i
ConcatFromSequence(S) 1 where S= with axis:i! new_axis:i
ConvInteger(T1, T2, T1?, T2?) 1 where T1=int8|uint8 T2=int8|uint8 with auto_pad:s dilations:is group:i kernel_shape:is pads:is strides:is
Cosh(T) 1 where T=float
CumProd(T, T2) 1 where T=wide T2=index with exclusive:i reverse:i
DFT(T1, T2?, int64?) 1 where T1=float T2=index with inverse:i onesided:i
DeformConv(T, T, T, T?, T?) 1 where T=float with dilations:is group:i kernel_shape:is offset_group:i pads:is strides:is
DequantizeLinear(T1, T2, T1?) 1 where T1=int16|int32|int8|uint16|uint8 T2=float32 with axis:i block_size:i
Det(T) 1 where T=float
DynamicQuantizeLinear(T1) 3 where T1=float32
Einsum(T*) 1 where T=real with equation:s!
EyeLike(T1) 1 where T1=any with dtype:i k:i
GRU(T, T, T, T?, T1?, T?) 2 where T=float T1=int32 with activation_alpha:fs activation_beta:fs activations:ss clip:f direction:s hidden_size:i layout:i linear_before_reset:i
Gelu(T) 1 where T=float with approximate:s
GlobalLpPool(T) 1 where T=float with p:i
GridSample(T1, T2) 1 where T1=any T2=float with align_corners:i mode:s padding_mode:s
GroupNormalization(T, T, T) 1 where T=float with epsilon:f num_groups:i! stash_type:i
HammingWindow(T1) 1 where T1=index with output_datatype:i periodic:i
HannWindow(T1) 1 where T1=index with output_datatype:i periodic:i
HardSwish(T) 1 where T=float
Hardmax(T) 1 where T=float with axis:i
ImageDecoder(T1) 1 where T1=uint8 with pixel_format:s
InstanceNormalization(T, T, T) 1 where T=float with epsilon:f
LRN(T) 1 where T=float with alpha:f beta:f bias:f size:i!
LSTM(T, T, T, T?, T1?, T?, T?, T?) 3 where T=float T1=int32 with activation_alpha:fs activation_beta:fs activations:ss clip:f direction:s hidden_size:i input_forget:i layout:i
LayerNormalization(T, T, T?) 3 where T=float with axis:i epsilon:f stash_type:i
LinearAttention(T, T, T, S?, T?, T?) 2 where T=float32 S=float32 with chunk_size:i kv_num_heads:i! q_num_heads:i! scale:f update_rule:s
LpNormalization(T) 1 where T=float with axis:i p:i
LpPool(T) 1 where T=float with auto_pad:s ceil_mode:i dilations:is kernel_shape:is! p:i pads:is strides:is
MatMulInteger(T1, T2, T1?, T2?) 1 where T1=int8|uint8 T2=int8|uint8
MaxRoiPool(T, T) 1 where T=float with pooled_shape:is! spatial_scale:f
MaxUnpool(T1, T2, T2?) 1 where T1=float T2=int64 with kernel_shape:is! pads:is strides:is
MeanVarianceNormalization(T) 1 where T=float with axes:is
MelWeightMatrix(T1, T1, T1, T2, T2) 1 where T1=index T2=float with output_datatype:i
Mish(T) 1 where T=float
Multinomial(T1) 1 where T1=float with dtype:i sample_size:i seed:f
NegativeLogLikelihoodLoss(T, Tind, T?) 1 where T=float Tind=index with ignore_index:i reduction:s
NonMaxSuppression(float32, float32, int64?, float32?, float32?) 1 with center_point_box:i
NonZero(T) 1 where T=any
OneHot(T1, T2, T3) 1 where T1=real T2=real T3=any with axis:i
OptionalGetElement(O) 1 where O=any
OptionalHasElement(O?) 1 where O=any
PRelu(T, T) 1 where T=wide
QLinearConv(T1, float32, T1, T2, float32, T2, float32, T3, T4?) 1 where T1=int8|uint8 T2=int8|uint8 T3=int8|uint8 T4=int32 with auto_pad:s dilations:is group:i kernel_shape:is pads:is strides:is
QLinearMatMul(T1, TS, T1, T2, TS, T2, TS, T3) 1 where TS=float32 T1=int8|uint8 T2=int8|uint8 T3=int8|uint8
QuantizeLinear(T1, T1, T2?) 1 where T1=float32|int32 T2=int16|int8|uint16|uint8 with axis:i block_size:i output_dtype:i saturate:i
RMSNormalization(T, V) 1 where T=float V=float with axis:i epsilon:f stash_type:i
RNN(T, T, T, T?, T1?, T?) 2 where T=float T1=int32 with activation_alpha:fs activation_beta:fs activations:ss clip:f direction:s hidden_size:i layout:i
RandomNormal() 1 with dtype:i mean:f scale:f seed:f shape:is!
RandomNormalLike(T1) 1 where T1=any with dtype:i mean:f scale:f seed:f
RandomUniform() 1 with dtype:i high:f low:f seed:f shape:is!
RandomUniformLike(T1) 1 where T1=any with dtype:i high:f low:f seed:f
RegexFullMatch(T1) 1 where T1= with pattern:s
Resize(T1, T2?, float32?, int64?) 1 where T1=any T2=float with antialias:i axes:is coordinate_transformation_mode:s cubic_coeff_a:f exclude_outside:i extrapolation_value:f keep_aspect_ratio_policy:s mode:s nearest_mode:s
ReverseSequence(T, int64) 1 where T=any with batch_axis:i time_axis:i
RoiAlign(T1, T1, T2) 1 where T1=float T2=int64 with coordinate_transformation_mode:s mode:s output_height:i output_width:i sampling_ratio:i spatial_scale:f
RotaryEmbedding(T, T, T, M?) 1 where T=float32 M=int64 with interleaved:i num_heads:i rotary_embedding_dim:i
STFT(T1, T2, T1?, T2?) 1 where T1=float T2=index with onesided:i
SequenceAt(S, I) 1 where S= I=index
SequenceConstruct(T*) 1 where T=any
SequenceEmpty() 1 with dtype:i
SequenceErase(S, I?) 1 where S= I=index
SequenceInsert(S, T, I?) 1 where T=any S= I=index
SequenceLength(S) 1 where S=
Shrink(T) 1 where T=real with bias:f lambd:f
SimplifiedLayerNormalization(T, V) 2 where T=float V=float with axis:i epsilon:f stash_type:i
Sinh(T) 1 where T=float
SoftmaxCrossEntropyLoss(T, Tind, T?) 2 where T=float Tind=index with ignore_index:i reduction:s
SplitToSequence(T, I?) 1 where T=any I=index with axis:i keepdims:i
StringConcat(T, T) 1 where T=
StringSplit(T1) 2 where T1= with delimiter:s maxsplit:i
SwiGLU(T, T) 1 where T=float with alpha:f
Swish(T) 1 where T=float with alpha:f
Tan(T) 1 where T=float
TensorScatter(T, T, int64?) 1 where T=any with axis:i mode:s
TfIdfVectorizer(T) 1 where T=index with max_gram_length:i! max_skip_count:i! min_gram_length:i! mode:s! ngram_counts:is! ngram_indexes:is! pool_int64s:is pool_strings:ss weights:fs
TopK(T, int64) 2 where T=real with axis:i largest:i sorted:i
Unique(T) 4 where T=any with axis:i sorted:i
`;
