"""User code with mistakes; mypy --strict must refuse each line that ends with a comment, with that error."""

import numpy as np

import lightmine
from lightmine import evaluation

x = np.eye(2, dtype=np.float32)
near = lightmine.neighbors(x, x, both=True)
lightmine.mine_bitext(x, x, margin="ration")  # arg-type
lightmine.mine_bitext(x, x, retrieval="both")  # arg-type
lightmine.mine_bitext(x, x, rank="score")  # arg-type
lightmine.mine_bitext(x, x, one_to_one=True)  # arg-type
lightmine.mine_bitext(x, x, compat="faiss")  # arg-type
lightmine.mine_bitext(x, x, kernel="x")  # arg-type
lightmine.mine_bitext(x, x, treshold=1.1)  # call-arg
lightmine.mine_bitext(x, x, 4)  # call-arg
lightmine.score_bitext(x, x, margin="cosine")  # arg-type
lightmine.score_bitext(x, x, threshold=1.1)  # call-arg
lightmine.retrieve(near, margin="ration")  # arg-type
lightmine.retrieve(near, kk=3)  # call-arg
lightmine.neighbors(x, kernel="int4")  # arg-type
lightmine.neighbors(x, k="ten")  # arg-type
lightmine.mine_paraphrases(x, kernel="x")  # arg-type
lightmine.mine_paraphrases(x, topk=3)  # call-arg
lightmine.mine_paraphrases(x, progress="yes")  # arg-type
scores = lightmine.mine_paraphrases(x).scores  # attr-defined
chosen = lightmine.mine_everything  # attr-defined
evaluation.bitext_mining([0], [0], [0.5], gold=[(0, 0)], best=True)  # call-arg
encoder = lightmine.Encoder.load(provider="gpu")  # arg-type
lightmine.Encoder.load(verify="none")  # arg-type
encoder.encode(["one"], precision="int4")  # arg-type
encoder.encode(["one"], no_tokens="skip")  # arg-type
encoder.stream(["one"], promt="query: ")  # call-arg
encoder.identity(fast="yes")  # arg-type
