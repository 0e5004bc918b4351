"""Names that other libraries give to methods and attributes of a network, and the call here that does the same."""

METHODS = {
    "fit": "rp.fit(net, x, y)",
    "train": "rp.fit(net, x, y)",
    "partial_fit": "rp.fit(net, x, y), which starts from the parameters that the network has",
    "compile": "rp.fit(net, x, y, optimizer=..., metrics=...); the loss is an argument of rp.Network",
    "step": "rp.fit(net, x, y, epochs=1)",
    "save": "rp.save(net, path)",
    "load": "rp.load(path), which returns a network",
    "state_dict": "net.thetas and net.biases, or rp.save(net, path)",
    "load_state_dict": "net.thetas = [...] and net.biases = [...], or rp.load(path)",
    "backward": "net.gradient(x, y)",
    "loss": "net.cost(x, y)",
    "evaluate": "net.cost(x, y), or validation_data and metrics of rp.fit",
    "score": "net.cost(x, y), or validation_data and metrics of rp.fit",
    "predict_proba": "net.predict(x), which returns the outputs a^(L)",
    "weights": "net.thetas",
    "coefs_": "net.thetas",
    "intercepts_": "net.biases",
    "cuda": 'net.to("cupy"), or net.to("torch:cuda"), which returns a new network',
    "cpu": 'net.to("numpy"), which returns a new network',
    "device": "net.backend, or net.backend.device",
}
