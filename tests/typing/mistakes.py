"""Deliberate mistakes, one a line after the first: a type checker should find nearly all of them."""

import numpy as np

import retroprop as rp
from retroprop.estimators import MLPClassifier, MLPEnsembleClassifier, MLPEnsembleRegressor, MLPRegressor

x, y = np.ones((4, 2)), np.ones((4, 1))
net = rp.Network([2, 3, 1])
rp.Network(2)  # mistake
rp.Network("2-3-1")  # mistake
rp.Network([2, 3.5, 1])  # mistake
rp.Network([2, 3, 1], hidden=3)  # mistake
rp.Network([2, 3, 1], hidden="reluu")  # mistake
rp.Network([2, 3, 1], hidden=["relu", "swish"])  # mistake
rp.Network([2, 3, 1], output="linear")  # mistake
rp.Network([2, 3, 1], loss="mse")  # mistake
rp.Network([2, 3, 1], loss=rp.activations.Tanh())  # mistake
rp.Network([2, 3, 1], initializer="xavier")  # mistake
rp.Network([2, 3, 1], dtype="float16")  # mistake
rp.Network([2, 3, 1], dropout="0.5")  # mistake
rp.Network([2, 3, 1], l2=[None])  # mistake
rp.Network([2, 3, 1], seed="zero")  # mistake
rp.Network([2, 3, 1], backend=3)  # mistake
rp.Network([2, 3, 1], activation="relu")  # mistake
rp.fit(net, x, y, optimizer=3)  # mistake
rp.fit(net, x, y, optimizer="adamm")  # mistake
rp.fit(net, x, y, epochs=2.5)  # mistake
rp.fit(net, x, y, batch_size="full")  # mistake
rp.fit(net, x, y, metrics=["accurracy"])  # mistake
rp.fit(net, x, y, early_stopping=True)  # mistake
rp.fit(net, x, y, precision="half")  # mistake
rp.fit(net, x, y, learning_rate=0.1)  # mistake
rp.fit(net, x, y, validation_data=x)  # mistake
rp.fit(x, y, net)  # mistake
rp.optimizers.Adam("0.1")  # mistake
rp.EarlyStopping(patience="ten")  # mistake
net.predict("x.csv")  # mistake
net.gradent(x, y)  # mistake
MLPClassifier("100")  # mistake
MLPClassifier(activation="swish")  # mistake
MLPClassifier(solver="momentum")  # mistake
MLPClassifier(loss="poisson")  # mistake
MLPClassifier(batch_size="full")  # mistake
MLPClassifier(learning_rate=0.1)  # mistake
MLPRegressor(loss="log_loss")  # mistake
MLPRegressor(checkpoint="folder")  # mistake
MLPRegressor(epochs=10)  # mistake
MLPEnsembleClassifier("relu")  # mistake
MLPEnsembleClassifier(n_members="ten")  # mistake
MLPEnsembleRegressor(random_state="zero")  # mistake
rp.fit_many(net, x, y)  # mistake
