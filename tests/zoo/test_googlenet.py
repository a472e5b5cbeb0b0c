import pytest
from zoo_graphs import graph_of, parameter_count

from pellucid.errors import ConfigError, ShapeError
from pellucid.explain import check_gradients
from pellucid.zoo import googlenet
from pellucid.zoo.googlenet import inception

# Szegedy et al. 2015, Table 1, "output size".
PRINTED = {
    "conv1.relu": (64, 112, 112),
    "maxpool1": (64, 56, 56),
    "conv3.relu": (192, 56, 56),
    "maxpool2": (192, 28, 28),
    "inception3a.concat": (256, 28, 28),
    "inception3b.concat": (480, 28, 28),
    "maxpool3": (480, 14, 14),
    "inception4a.concat": (512, 14, 14),
    "inception4b.concat": (512, 14, 14),
    "inception4c.concat": (512, 14, 14),
    "inception4d.concat": (528, 14, 14),
    "inception4e.concat": (832, 14, 14),
    "maxpool4": (832, 7, 7),
    "inception5a.concat": (832, 7, 7),
    "inception5b.concat": (1024, 7, 7),
    "avgpool": (1024,),
    "fc": (1000,),
}


@pytest.mark.parametrize("form", ["torchvision", "paper"])
def test_outputs_are_as_printed(form):
    shapes = {node.name: node.shape for node in graph_of(googlenet, form=form).nodes}
    assert {name: shapes[name] for name in PRINTED} == PRINTED


def test_parameters():
    # torchvision's documentation: 6,624,904 without auxiliary heads; Caffe's bvlc_googlenet: 6,998,552.
    assert parameter_count(graph_of(googlenet)) == 6_624_904
    assert parameter_count(graph_of(googlenet, form="paper")) == 6_998_552


def test_forms_differ_as_said():
    def kinds(form):
        return {node.name: node.layer for node in graph_of(googlenet, form=form).nodes}

    ours, papers = kinds("torchvision"), kinds("paper")
    assert {name for name in papers if name not in ours} == {"norm1", "norm2"}
    assert {name for name in ours if name not in papers} == {name for name in ours if name.endswith(".bn")}
    assert papers["inception4c.branch3.1.conv"].kernel_size == 5
    assert ours["inception4c.branch3.1.conv"].kernel_size == 3
    assert all(layer.bias for name, layer in papers.items() if name.endswith(".conv"))
    assert not any(layer.bias for name, layer in ours.items() if name.endswith(".conv"))


@pytest.mark.parametrize("form", ["torchvision", "paper"])
def test_gradients_of_a_module(form):
    report = check_gradients(inception(form, 2, 1, 3, 2, 2, 1, name="module"), (3, 5, 4), batch=3)
    assert report.passed, report
    # every entry: the input; 1×1 convolutions of 2, 1, 2 and 1 filters, 3×3 (1 → 3), the widest (2 → 2); two
    # coefficients, or one bias, for each of the eleven filters
    widest = 25 if form == "paper" else 9
    assert report.checked == 180 + 3 * 6 + 27 + 4 * widest + (11 if form == "paper" else 22)


def test_settings_out_of_range():
    with pytest.raises(ConfigError, match="form must be 'torchvision' or 'paper'; got 'caffe'"):
        googlenet(form="caffe")
    with pytest.raises(
        ConfigError, match=r"no auxiliary classifiers here, for a Network has one output: leave out aux"
    ):
        googlenet(aux=True)
    with pytest.raises(ShapeError, match="does not fit"):
        googlenet(input_shape=(3, 1, 1))
