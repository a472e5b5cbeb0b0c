from pellucid import zoo
from pellucid.explain.explorer.stages import blocks, stages


def test_nguyen():
    net = zoo.nguyen(engine="reference")
    found = stages(net.graph.nodes)
    assert [title for title, _ in found] == ["24×24", "12×12", "8×8", "4×4", "vector"]
    assert [name for _, names in found for name in names] == [node.name for node in net.graph.nodes]
    assert set(blocks(net.graph.nodes).values()) == {None}


def test_resnet():
    net = zoo.resnet_cifar(20, engine="reference")
    found = stages(net.graph.nodes)
    assert [title for title, _ in found] == ["32×32", "16×16", "8×8", "vector"]
    block = blocks(net.graph.nodes)
    inside = [name for name, path in block.items() if path is not None]
    # nine blocks of three Residuals in three stages; the stem and the head stand outside
    assert len(set(block.values()) - {None}) == 9
    assert all(name.startswith(f"{block[name]}.") for name in inside)
    assert block["conv1"] is None
    assert block[net.graph.nodes[-1].name] is None


def test_inception():
    block = blocks(zoo.googlenet(engine="reference").graph.nodes)
    assert block["inception3a.concat"] == "inception3a"
    assert {path for path in block.values() if path} == {
        f"inception{name}" for name in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
    }
