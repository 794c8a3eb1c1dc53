import pytest

from cnnlib import recipes
from cnnlib.errors import InputError


def test_a_recipe_is_known_by_its_name_and_its_changes():
    assert recipes.recipe("quick").name == "quick"
    assert recipes.recipe("quick", epochs=recipes.recipe("quick").epochs).name == "quick"
    changed = recipes.recipe("plain", learning_rate=0.1, epochs=2, optimizer="sgd")
    assert changed.name == "plain,epochs=2,learning_rate=0.1,optimizer=sgd"
    assert recipes.recipe(changed.name) == changed  # as a command makes it from the ledger's name


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("plian", {}, "unknown recipe 'plian'. Known: plain"),
        (5, {}, "a recipe is given by its name"),
        ("plain", {"rate": 1}, "unknown recipe field 'rate'. Known: .*learning_rate"),
        ("plain,epochs=two", {}, "epochs must be a value like 20, got 'two'"),
        ("plain,epoch=2", {}, "unknown recipe field 'epoch'. Known: epochs"),
        ("plain", {"epochs": 0}, "epochs"),
        ("plain", {"epochs": 2.5}, "epochs"),
        ("plain", {"learning_rate": float("nan")}, "learning_rate"),
        ("plain", {"learning_rate": "1e-4"}, "learning_rate"),
        ("plain", {"label_smoothing": 7}, "label_smoothing"),
        ("plain", {"optimizer": "adamv"}, "optimizer"),
        ("benchmark", {"test_views": 3}, "test_views"),
        ("benchmark", {"nesterov": 2}, "nesterov"),
        ("benchmark", {"precision": "float16"}, "precision"),
        ("benchmark", {"protocol": "crop"}, "protocol"),
        ("benchmark", {"label_smoothing": -0.1}, "label_smoothing"),
        ("frozen-32-all-mlp,blocks=54", {}, "blocks"),
        ("frozen-32-all-mlp,image_size=16", {}, "image_size"),
        ("frozen-32-all-mlp,dropout=1", {}, "dropout"),
        ("frozen-32-all-mlp,trainable=block4", {}, "trainable"),
        ("frozen-32-all-mlp,protocol=crop-flip", {}, "a frozen base sees each image once"),
        ("frozen-32-all-mlp,trainable=all", {}, "init_from must name the recipe"),
        ("frozen-32-all-mlp,batch_norm=1", {}, "batch_norm is for recipes that train more"),
        ("frozen-32-all-mlp,pool_grid=0", {}, "pool_grid"),
        ("frozen-32-all-mlp,mirrored=2", {}, "mirrored"),
        ("frozen-32-all-mlp,widht=3", {}, "unknown recipe field 'widht'"),
        ("fine-tuned-32,mirrored=1", {}, "mirrored is for heads on a frozen base"),
        ("fine-tuned-32", {"init_from": "quick-frozen,epochs=2"}, "without changes"),
        ("fine-tuned-64,init_from=frozen-32-quarters", {}, "name a recipe with pool_grid=1"),
    ],
)
def test_recipes_that_cannot_be_are_refused(name, changes, message):
    with pytest.raises(InputError, match=message):
        recipes.recipe(name, **changes)
