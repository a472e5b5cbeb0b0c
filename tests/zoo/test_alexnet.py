import pytest
from zoo_graphs import graph_of, parameter_count

from pellucid.errors import ShapeError
from pellucid.zoo import alexnet

# torchvision's alexnet, by its documentation: 61,100,840 parameters.
OUTPUTS = {
    "features.0": (64, 55, 55),
    "features.2": (64, 27, 27),
    "features.3": (192, 27, 27),
    "features.5": (192, 13, 13),
    "features.6": (384, 13, 13),
    "features.8": (256, 13, 13),
    "features.10": (256, 13, 13),
    "features.12": (256, 6, 6),
    "flatten": (9216,),
    "classifier.1": (4096,),
    "classifier.4": (4096,),
    "classifier.6": (1000,),
}


def test_outputs_and_parameters():
    graph = graph_of(alexnet)
    shapes = {node.name: node.shape for node in graph.nodes}
    assert {name: shapes[name] for name in OUTPUTS} == OUTPUTS
    assert list(shapes)[-1] == "classifier.6"
    assert parameter_count(graph) == 61_100_840


def test_larger_images_are_averaged():
    graph = graph_of(alexnet, input_shape=(3, 416, 800))
    pool = next(node for node in graph.nodes if node.name == "avgpool")
    assert (pool.input_shapes, pool.shape) == (((256, 12, 24),), (256, 6, 6))
    assert parameter_count(graph) == 61_100_840


def test_images_whose_maps_are_no_multiple():
    with pytest.raises(
        ShapeError,
        match=r"images of shape \(3, 256, 224\) come out of 'features' as maps of 7×6; the classifier takes 6×6",
    ):
        alexnet(input_shape=(3, 256, 224))
    with pytest.raises(ShapeError, match=r"layer 'features\.12' does not fit"):
        alexnet(input_shape=(3, 32, 32))
