"""VX506 inverted-mode-flag: more senses of flags."""
from functools import partial

from flax import linen as nn


class Setup(nn.Module):
    train: bool = True

    def setup(self):
        self.drop = nn.Dropout(0.5, deterministic=self.train)  # expect: VX506
        self.norm = nn.BatchNorm()

    def __call__(self, x, is_training):
        x = self.norm(x, use_running_average=is_training)  # expect: VX506
        return self.drop(x)


class Aliases(nn.Module):
    @nn.compact
    def __call__(self, x, is_train, inference):
        mode = is_train
        norm = partial(nn.BatchNorm, use_running_average=mode, momentum=0.9)  # expect: VX506
        x = nn.Dropout(0.1)(x, is_train)  # expect: VX506
        x = nn.BatchNorm(is_train)(norm()(x))  # expect: VX506
        return nn.Dropout(0.1, deterministic=not inference)(x)  # expect: VX506


class Derived(nn.Module):
    @nn.compact
    def __call__(self, x, deterministic=True):
        training = not deterministic
        x = nn.Dropout(0.1, deterministic=True if training else False)(x)  # expect: VX506
        return nn.BatchNorm(use_running_average=training)(x)  # expect: VX506


class Blocks(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        for block in self.blocks:
            x = block(x, deterministic=train)  # expect: VX506
        return x


def loss(model, variables, x, training):
    return model.apply(variables, x, deterministic=training)  # expect: VX506


class Right(nn.Module):
    training: bool | None = None

    @nn.compact
    def __call__(self, x, training=None, eval=False):
        training = nn.merge_param("training", self.training, training)
        test = not training
        x = nn.Dropout(0.1, deterministic=test)(x)
        x = nn.Dropout(0.1, deterministic=False if training else True)(x)
        x = nn.BatchNorm(use_running_average=eval)(x)
        x = nn.BatchNorm(not training)(x)
        return nn.Dropout(0.1)(x, not training)


class Opposite(nn.Module):
    @nn.compact
    def __call__(self, x, mode, use_dropout, train):
        x = nn.Dropout(0.1, deterministic=mode != "train")(x)
        x = nn.Dropout(0.1, deterministic=not use_dropout)(x)
        deterministic = not train
        return nn.Dropout(0.1, deterministic=deterministic)(x)


def act(policy, obs, training, deterministic):
    return policy(obs, deterministic=not training), policy(obs, training=not deterministic)
