import numpy as np
import pytest

from cnnlib import recipes
from cnnlib.errors import InputError


def test_a_recipe_is_known_by_its_name_and_its_changes():
    assert recipes.recipe("quick").name == "quick"
    assert recipes.recipe("quick", epochs=recipes.recipe("quick").epochs).name == "quick"
    changed = recipes.recipe("plain", learning_rate=0.1, epochs=2, optimizer="sgd")
    assert changed.name == "plain,epochs=2,learning_rate=0.1,optimizer=sgd"
    assert recipes.recipe(changed.name) == changed  # as a command makes it from the ledger's name
    assert recipes.recipe("plain,epochs=2", epochs=5) == recipes.recipe("plain", epochs=5)
    assert changed.changed(epochs=20).name == "plain,learning_rate=0.1,optimizer=sgd"
    assert changed.settings() == {"learning_rate": 0.1, "epochs": 2, "optimizer": "sgd"}


def test_a_recipe_that_continues_from_another_has_its_settings():
    found = recipes.recipe("fine-tuned-32,init_from=quick-frozen,batch_norm=false")
    assert found.name == "fine-tuned-32,batch_norm=false,init_from=quick-frozen"
    assert found.start == recipes.recipe("quick-frozen")
    before = found.settings()["transfer"]["init_from"]
    assert before == recipes.recipe("quick-frozen").settings()
    assert before["transfer"] == {} and before["batch_size"] == 32


@pytest.mark.parametrize(
    ("name", "changes", "plain"),
    [
        ("plain", {"epochs": np.array(3, np.uint8)}, {"epochs": 3}),
        ("benchmark", {"nesterov": np.True_}, {"nesterov": True}),
        ("frozen-32-all-mlp", {"image_size": np.int32(64)}, {"image_size": 64}),
    ],
)
def test_numbers_of_numpy_are_those_of_python(name, changes, plain):
    found, expected = recipes.recipe(name, **changes), recipes.recipe(name, **plain)
    assert found == expected and repr(found.settings()) == repr(expected.settings())


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("plian", {}, "unknown recipe 'plian'. Did you mean plain"),
        ("plain", {"rate": 1}, "unknown recipe field 'rate'. Did you mean .*learning_rate"),
        ("plain,epochs=two", {}, "epochs must be a valid integer, got 'two'"),
        ("plain,name=x", {}, "unknown recipe field 'name'"),
        ("plain,pool_grid=2", {}, "unknown recipe field 'pool_grid'"),
        ("plain,epochs=1,epochs=2", {}, "epochs is given twice"),
        ("plain,weight_decay=1e-400", {}, "weight_decay must be a valid number, got '1e-400'"),
        ("plain", {"learning_rate": 1e-46}, "learning_rate"),  # 0 in float32
        ("plain", {"learning_rate": 0.0}, "learning_rate"),
        ("short,epochs=5", {}, "has 5 epochs, and small_epochs=16 and warmup_epochs=2.0 cannot"),
        ("plain", {"epochs": True}, "epochs"),
        ("plain", {"learning_rate": float("nan")}, "learning_rate"),
        ("plain", {"label_smoothing": 7}, "label_smoothing"),
        ("plain", {"optimizer": "adamv"}, "optimizer"),
        ("frozen-32-all-mlp,blocks=54", {}, "blocks"),
        ("frozen-32-all-mlp,protocol=crop-flip", {}, "a frozen base sees each image once"),
        ("frozen-32-all-mlp,trainable=all", {}, "init_from must name the recipe"),
        ("frozen-32-all-mlp,batch_norm=true", {}, "batch_norm are for recipes that train more"),
        ("fine-tuned-32,mirrored=true", {}, "has mirrored=false"),
        ("fine-tuned-32", {"init_from": "quick-frozen,epochs=2"}, "without changes"),
    ],
)
def test_recipes_that_cannot_be_are_refused(name, changes, message):
    with pytest.raises(InputError, match=message):
        recipes.recipe(name, **changes)
