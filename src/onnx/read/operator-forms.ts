/**
 * The forms of operators as ONNX defines them at opset 21 (for later operators, at the newest opset): the inputs, each
 * by its element type or a letter for one ("?" means that it may be absent, "*" any number of them), the number of
 * outputs, the types that letters stand for, and the attributes ("!" marks required ones). The forms of operators that
 * few models use are in `rare-operator-forms.ts`.
 */
export const forms = `
Abs(T) 1 where T=real
Add(T, T) 1 where T=real
And(T, T) 1 where T=bool
ArgMax(T) 1 where T=real with axis:i keepdims:i select_last_index:i
ArgMin(T) 1 where T=real with axis:i keepdims:i select_last_index:i
AveragePool(T) 1 where T=float with auto_pad:s ceil_mode:i count_include_pad:i dilations:is kernel_shape:is! pads:is strides:is
BatchNormalization(T, T1, T1, T2, T2) 3 where T=float T1=float T2=float with epsilon:f momentum:f training_mode:i
Cast(T1) 1 where T1=any with saturate:i to:i!
CastLike(T1, T2) 1 where T1=any T2=any with saturate:i
Ceil(T) 1 where T=float
Celu(T) 1 where T=float32 with alpha:f
Clip(T, T?, T?) 1 where T=real
Concat(T*) 1 where T=any with axis:i!
ConstantOfShape(T1) 1 where T1=int64 with value:t
Conv(T, T, T?) 1 where T=float with auto_pad:s dilations:is group:i kernel_shape:is pads:is strides:is
ConvTranspose(T, T, T?) 1 where T=float with auto_pad:s dilations:is group:i kernel_shape:is output_padding:is output_shape:is pads:is strides:is
Cos(T) 1 where T=float
CumSum(T, T2) 1 where T=wide T2=index with exclusive:i reverse:i
DepthToSpace(T) 1 where T=any with blocksize:i! mode:s
Div(T, T) 1 where T=real
Dropout(T, T1?, T2?) 2 where T=float T1=float T2=bool with seed:i
Elu(T) 1 where T=float with alpha:f
Equal(T, T) 1 where T=any
Erf(T) 1 where T=float
Exp(T) 1 where T=float
Expand(T, int64) 1 where T=any
Flatten(T) 1 where T=any with axis:i
Floor(T) 1 where T=float
Gather(T, Tind) 1 where T=any Tind=index with axis:i
GatherElements(T, Tind) 1 where T=any Tind=index with axis:i
GatherND(T, int64) 1 where T=any with batch_dims:i
Gemm(T, T, T?) 1 where T=wide with alpha:f beta:f transA:i transB:i
GlobalAveragePool(T) 1 where T=float
GlobalMaxPool(T) 1 where T=float
Greater(T, T) 1 where T=real
GreaterOrEqual(T, T) 1 where T=real
HardSigmoid(T) 1 where T=float with alpha:f beta:f
Identity(V) 1 where V=any
IsInf(T1) 1 where T1=float with detect_negative:i detect_positive:i
IsNaN(T1) 1 where T1=float
LeakyRelu(T) 1 where T=float with alpha:f
Less(T, T) 1 where T=real
LessOrEqual(T, T) 1 where T=real
Log(T) 1 where T=float
LogSoftmax(T) 1 where T=float with axis:i
MatMul(T, T) 1 where T=wide
Max(T*) 1 where T=real
MaxPool(T) 2 where T=float32|float64|int8|uint8 with auto_pad:s ceil_mode:i dilations:is kernel_shape:is! pads:is storage_order:i strides:is
Mean(T*) 1 where T=float
Min(T*) 1 where T=real
Mod(T, T) 1 where T=real with fmod:i
Mul(T, T) 1 where T=real
Neg(T) 1 where T=signed
Not(T) 1 where T=bool
Or(T, T) 1 where T=bool
Pad(T, int64, T?, Tind?) 1 where T=any Tind=index with mode:s
Pow(T, T1) 1 where T=float32|float64|int32|int64 T1=real
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
Relu(T) 1 where T=signed
Reshape(T, int64) 1 where T=any with allowzero:i
Round(T) 1 where T=float
ScatterElements(T, Tind, T) 1 where T=any Tind=index with axis:i reduction:s
ScatterND(T, int64, T) 1 where T=any with reduction:s
Selu(T) 1 where T=float with alpha:f gamma:f
Shape(T) 1 where T=any with end:i start:i
Sigmoid(T) 1 where T=float
Sign(T) 1 where T=real
Sin(T) 1 where T=float
Size(T) 1 where T=any
Slice(T, Tind, Tind, Tind?, Tind?) 1 where T=any Tind=index
Softmax(T) 1 where T=float with axis:i
Softplus(T) 1 where T=float
Softsign(T) 1 where T=float
SpaceToDepth(T) 1 where T=any with blocksize:i! mode:s
Split(T, int64?) * where T=any with axis:i num_outputs:i
Sqrt(T) 1 where T=float
Squeeze(T, int64?) 1 where T=any
Sub(T, T) 1 where T=real
Sum(T*) 1 where T=float
Tanh(T) 1 where T=float
ThresholdedRelu(T) 1 where T=float with alpha:f
Tile(T, T1) 1 where T=any T1=int64
Transpose(T) 1 where T=any with perm:is
Trilu(T, int64?) 1 where T=any with upper:i
Unsqueeze(T, int64) 1 where T=any
Where(B, T, T) 1 where B=bool T=any
Xor(T, T) 1 where T=bool
`;
