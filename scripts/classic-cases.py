"""Writes test/onnx/classic-cases: scikit-learn models as skl2onnx exports them, with what ONNX Runtime computes.

Needs Python and the packages scikit-learn 1.9.1, skl2onnx 1.20.0, onnx 1.23.2, onnxruntime 1.32.0: python scripts/classic-cases.py
Each case is NAME.onnx beside NAME.npz, which holds the inputs and, under "out/", the outputs that are tensors of numbers;
a sequence of maps (ZipMap) is stored as the matrix of its values.
"""
import pathlib

import numpy as np
import onnx
import onnxruntime
from skl2onnx import to_onnx
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Perceptron, Ridge, SGDClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import LinearSVC, LinearSVR

folder = pathlib.Path(__file__).parent.parent / "test" / "onnx" / "classic-cases"
draw = np.random.default_rng(13)
x = draw.standard_normal((60, 4)).astype(np.float32)
y = x @ np.array([1.0, -2, 0.5, 0], np.float32) + 0.3 * draw.standard_normal(60).astype(np.float32)
y2 = np.stack([y, y**2], 1)
three = np.digitize(y, [-1, 1])
two = (y > 0).astype(np.int64)
names = np.array(["blue", "green", "red"])
holes = np.where(draw.random(x.shape) < 0.2, np.nan, x).astype(np.float32)


def number_of(output):
    if isinstance(output, list):
        return np.array([list(each.values()) for each in output], np.float32)
    return output if output.dtype.kind in "fiub" else None


def case(name, model, data, target=None, zipmap=True, samples=3, **options):
    model.fit(data, target)
    if zipmap is not True:
        options["options"] = {id(model): {"zipmap": zipmap}}
    exported = to_onnx(model, data[:1], target_opset={"": 21, "ai.onnx.ml": 3}, **options)
    del exported.metadata_props[:]
    fed = {exported.graph.input[0].name: data[:samples]}
    session = onnxruntime.InferenceSession(exported.SerializeToString(), providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]
    found = {f"out/{key}": number_of(value) for key, value in zip(outputs, session.run(None, fed))}
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(exported, folder / f"{name}.onnx")
    np.savez(folder / f"{name}.npz", **fed, **{key: value for key, value in found.items() if value is not None})
    ops = [f"{node.domain and 'ml.'}{node.op_type}" for node in exported.graph.node]
    print(name, {key: value.shape for key, value in found.items() if value is not None}, *ops)


case("linear_regression", LinearRegression(), x, y)
case("linear_regression_two_targets", LinearRegression(), x, y2)
case("ridge_without_intercept", Ridge(fit_intercept=False), x, y)
case("linear_svr", LinearSVR(), x, y)
case("logistic_binary", LogisticRegression(), x, two)
case("logistic_binary_columns", LogisticRegression(), x, two, zipmap="columns")
case("logistic_three", LogisticRegression(), x, three)
case("logistic_three_plain", LogisticRegression(), x, three, zipmap=False)
case("logistic_three_texts", LogisticRegression(), x, names[three])
case("logistic_one_vs_rest", OneVsRestClassifier(LogisticRegression()), x, three, zipmap=False)
case("sgd_log_loss", SGDClassifier(loss="log_loss", alpha=1, random_state=0), x, three)
case("sgd_hinge_binary", SGDClassifier(random_state=0), x, two, zipmap=False)
case("perceptron", Perceptron(random_state=0), x, three, zipmap=False)
case("linear_svc", LinearSVC(random_state=0), x, three)
case("linear_svc_binary", LinearSVC(random_state=0), x, two)
case("calibrated", CalibratedClassifierCV(LogisticRegression(), cv=2), x, two, zipmap=False)
case("discriminant", LinearDiscriminantAnalysis(), x, three)
case("mlp_classifier", MLPClassifier((5,), max_iter=50, random_state=0), x, three)
case("mlp_classifier_texts", MLPClassifier((5,), max_iter=50, random_state=0), x, names[three])
case("mlp_binary", MLPClassifier((5,), max_iter=50, random_state=0), x, two)
case("mlp_regressor", make_pipeline(StandardScaler(), MLPRegressor(hidden_layer_sizes=(5,), max_iter=50, random_state=0)), x, y)
case("scaled_logistic", make_pipeline(StandardScaler(), LogisticRegression()), x, three)
case("robust_ridge", make_pipeline(RobustScaler(), Ridge()), x, y)
case("min_max_ridge", make_pipeline(MinMaxScaler(), Ridge()), x, y)
case("max_abs_ridge", make_pipeline(MaxAbsScaler(), Ridge()), x, y)
for norm in ["l1", "l2", "max"]:
    case(f"normalizer_{norm}_logistic", make_pipeline(Normalizer(norm), LogisticRegression()), x, three)
case("imputed_scaled_ridge", make_pipeline(SimpleImputer(), StandardScaler(), Ridge()), holes, y)
case("polynomial_ridge", make_pipeline(PolynomialFeatures(2), Ridge()), x, y)
case("pca_logistic", make_pipeline(PCA(2), LogisticRegression()), x, three)
case("scaler_alone", StandardScaler(), x)
columns = [("a", StandardScaler(), [0, 2]), ("b", make_pipeline(SimpleImputer(), Binarizer()), [3, 1])]
case("columns_logistic", make_pipeline(ColumnTransformer(columns), LogisticRegression()), x, three)
case("whole_numbers", make_pipeline(StandardScaler(), LogisticRegression()), (10 * x).astype(np.int64), three)
