import pytest


def test_a_network_of_the_zoo(cli):
    told = cli.json("summary", "nguyen")
    assert told["model"] == "nguyen"
    assert told["parameters"] == 3_898
    # Nguyen's sizes: 6·24²·25 + 12·8²·6·25 + 10·192
    assert told["multiply_adds"] == 86_400 + 115_200 + 1_920
    shapes = {row["name"]: row["shape"] for row in told["layers"]}
    assert shapes["pool1"] == [6, 12, 12]
    assert shapes["fc"] == [10]


def test_table(cli):
    result = cli("summary", "lenet5")
    assert "│ fc1     │" in result.stdout
    assert "48,120" in result.stdout
    assert "61,706" in result.stdout
    assert result.stderr == ""


def test_batch_norm(cli):
    assert cli.json("summary", "grishin")["parameters"] == 69_989
    assert cli.json("summary", "grishin", "--batch-norm")["parameters"] == 90_599


def test_a_model_file(cli, model):
    told = cli.json("summary", model)
    assert told["parameters"] == 9_930
    assert told["input_shape"] == [1, 8, 8]


@pytest.mark.parametrize("command", ["summary", "check"])
def test_errors(cli, model, command):
    assert cli.error(command, "vgg99").startswith(
        "ConfigError: 'vgg99' is neither a model file nor a network of the zoo: digits, grishin, lenet5, nguyen"
    )
    assert cli.error(command, "nguyen", "--batch-norm").startswith("ConfigError: nguyen has no setting 'batch_norm'")
    assert cli.error(command, model, "--batch-norm").startswith(f"ConfigError: {model} is a model file")
    assert cli.error(command, model.parent).startswith("ModelFileError: ")
