"""What is taken as a model, decided from bytes, before anything loads them.

Taken are formats that are data: ONNX, safetensors, JSON, and the recipe of a river model. Each is recognised by a reader
of our own that walks the structure and builds nothing; a suffix that says otherwise is refused. Everything else is refused:
pickle most of all, because loading it is running it, and whatever could hold one: zip (PyTorch, npz, skops, Keras), tar,
compressed streams (joblib), NumPy object arrays, JSON with jsonpickle tags or with base64 of a pickle in it. We look
into containers only to say precisely what is in them, never beyond a stated number of bytes, and never run anything.

This is an allow-list. Scanners that look for bad pickles have been bypassed again and again; here a pickle is
refused for being one.

    finding      Refusal, Finding, limits
    pickles      is this a pickle?
    archives     what is in a zip or tar
    compressed   what is in a compressed stream
    sniff        the name of what is not taken
    protobuf, onnx, safetensors, json_model, river_recipe    the readers of what is taken
    bundle       all files of a model together
"""
