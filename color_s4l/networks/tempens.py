"""The 10-layer convolutional network of temporal ensembling.

Laine & Aila 2017, table 5 (https://arxiv.org/abs/1610.02242): nine convolutions and
the classifier. It is the network that Tran 2019 calls the 13-layer ConvNet (he counts
poolings), here with the dropout of 0.5 that it was published with; Rebuffi et al. name
it 'TempEns'.
"""

import keras

from color_s4l.networks.convnet import convnet


def tempens(
    input_shape: tuple[int, int, int],
    *,
    width: float = 1.0,
    dropout: float = 0.5,
    synchronized: bool = False,
) -> keras.Model:
    """Builds the trunk.

    Differs from Laine & Aila: batch normalisation in the place of weight
    normalisation with mean-only batch normalisation.

    Args:
        input_shape: `(height, width, channels)` of preprocessed images; sides of
            at least 12.
        width: Factor on every number of filters. 1 gives 3,122,560 trainable
            parameters and 4,096 moving statistics.
        dropout: After both max-poolings (published: 0.5).
        synchronized: Batch statistics over all TensorFlow replicas.

    Returns:
        A model from float images to features `(batch, rows, columns, 128 * width)`;
        6 rows and columns for 32 pixels.

    Raises:
        InputError: The images are smaller than 12 pixels.
    """
    return convnet(input_shape, width=width, dropout=dropout, synchronized=synchronized)
